"""Drawing: matplotlib figures and the anywidget stage. Both read a `Trace`; nothing is imported until asked for."""
