import numpy as np
from verify import HERE, MANIFEST, NAMES, SESSION


class Session:
    """ONNX Runtime, opened as measured. `run` is the call that was timed: outputs as the runtime returns them."""

    def __init__(self):
        import onnxruntime

        wanted = SESSION["settings"]
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = getattr(
            onnxruntime.GraphOptimizationLevel, wanted["graph_optimization_level"])
        options.intra_op_num_threads = wanted["intra_op_num_threads"]
        options.log_severity_level = wanted["log_severity_level"]
        for name, value in wanted["entries"].items():
            options.add_session_config_entry(name, value)
        self.opened = onnxruntime.InferenceSession(
            str(HERE / MANIFEST["artifact"]), options, providers=["CPUExecutionProvider"])

    def native(self, inputs):
        return {entry.name: inputs[entry.name] for entry in self.opened.get_inputs()}

    def run(self, native):
        return self.opened.run(NAMES, native)

    def arrays(self, outputs):
        return {name: np.asarray(value, np.float32) for name, value in zip(NAMES, outputs, strict=True)}
