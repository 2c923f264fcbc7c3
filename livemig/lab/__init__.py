"""The lab: real QEMU. Recordings of live migrations, their conversion into Traces, and the check of the model.

Theory of operation. A recording is one JSON file with what one migration of real QEMU left behind, verbatim: the trace
points of source and destination, the QMP events, the answers to `query-migrate`, what the recorder did, the guest's
own marks. `recording.load_recording` reads and checks it, `convert.to_trace` turns it into a `Trace`, `inputs.inputs`
says which scenario it was, and `validate.validate` has somebody else (the caller's `simulate`) run that scenario and
compares the two Traces. This room imports nothing of livemig but `trace`: it does not know the engine.
"""
