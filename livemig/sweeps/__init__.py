"""Many scenarios at once: grids, the three models that answer for a row, and the driver on any executor (`sweep`).

On other people's clusters, where livemig must be installed on the workers:

>>> livemig.sweep(grid, model="qemu", executor=dask.distributed.Client(address).get_executor())
>>> livemig.sweep(grid, model="qemu", executor=ipyparallel.Client().executor())
>>> livemig.sweep(grid, model="qemu", executor=4)        # or on four processes of this machine

Only the engine gains by it: the formula answers faster in process than its tasks travel.
"""
