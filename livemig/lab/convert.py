"""Recording to Trace (pure). `inputs` and `not_modelled` say which scenario a recording was."""

from livemig.lab.inputs import inputs, not_modelled

__all__ = ["inputs", "not_modelled"]
