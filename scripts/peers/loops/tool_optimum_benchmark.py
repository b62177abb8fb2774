"""optimum-benchmark's own number: `tool_optimum_benchmark.py LAUNCHER DIRECTORY BATCH LENGTH`."""

import json
import os
import sys
from importlib.metadata import version

from optimum_benchmark import Benchmark, BenchmarkConfig, InferenceConfig, InlineConfig, ProcessConfig, PyTorchConfig


def main() -> None:
    launcher, directory, batch, length = sys.argv[1:]
    # Its intra_op_num_threads sets PyTorch's inter-op threads and the other way round: the environment says how many.
    config = BenchmarkConfig(
        name="peers", launcher={"process": ProcessConfig, "inline": InlineConfig}[launcher](),
        backend=PyTorchConfig(model=directory, task="feature-extraction", device="cpu", no_weights=False),
        scenario=InferenceConfig(input_shapes={"batch_size": int(batch), "sequence_length": int(length)},
                                 duration=float(os.environ["PEERS_SECONDS"]), iterations=5, warmup_runs=3))
    latency = Benchmark.launch(config).forward.latency
    print(json.dumps({"seconds": latency.p50, "calls": len(latency.values), "versions": {
        name: version(name) for name in ("optimum-benchmark", "transformers", "torch")}}))


if __name__ == "__main__":
    main()
