"""The float32 module spread by accelerate over GPUs, CPU and disk, as `--device-map` and `--max-memory` say."""

import collections
import tempfile

from eagerbench.backends.base import Backend, Engagement, Placement, Variant

_NEEDS = "needs --device-map or --max-memory (such as --max-memory cpu=20MB)"


class AcceleratePlaced(Backend):
    """SDPA attention; what fits on no device stays in a file and is read at every call.

    Source: https://huggingface.co/docs/accelerate/usage_guides/big_modeling
    """

    variants = (Variant("accelerate", "exact-math"),)
    packages = ("accelerate", "torch", "transformers")
    install = "pip install -e '.[bitsandbytes]'"
    builds_module = True

    def refuses(self, variant, placement):
        return self.unavailable(variant, placement.device) or (None if placement.device_map else _NEEDS)

    def build(self, variant, model, example, placement):
        from eagerbench.backends.placed_pretrained import from_pretrained, require_pretrained_class
        from eagerbench.backends.torch_runner import TorchRunner

        require_pretrained_class(model)
        scratch = tempfile.TemporaryDirectory(prefix="eagerbench-offload-")
        model.module.save_pretrained(scratch.name)
        runner = TorchRunner(from_pretrained(model, placement, directory=scratch.name, offload_folder=scratch.name),
                             placement.device)
        runner.scratch = scratch  # offloaded weights are read from it; it is deleted with the runner
        runner.placement = placement
        return runner

    def build_disengaged(self, variant, model, example, placement):
        """Everything on one device."""
        return self.build(variant, model, example, Placement(placement.device, placement.threads))

    def probe(self, variant, runner, inputs):
        """Engaged when the disk or more than one device holds parameters, or when they fit on the one that was allowed.

        What waits elsewhere is `meta` here.
        """
        from eagerbench.backends.placed_pretrained import devices, home

        placed = devices(runner.module)
        held = collections.Counter()
        for name, parameter in runner.module.named_parameters():
            device = home(name, placed) if parameter.is_meta else str(parameter.device)
            held[device] += parameter.numel() * parameter.element_size()
        share = ", ".join(f"{size / 2**20:.1f} MiB on {device}" for device, size in sorted(held.items()))
        where = "; ".join(f"{name or 'all'}: {device}" for name, device in placed.items())
        facts = {"device_map": where, **{f"bytes_on_{device.replace(':', '_')}": size for device, size in held.items()}}
        if len(held) > 1 or "disk" in held:
            return Engagement(True, share, facts)
        fits = runner.placement.device_map is not None and _fits(held, runner.placement)
        return Engagement(fits, f"{share}: nothing to offload" if fits else f"{share}, none elsewhere", facts)


def _fits(held: collections.Counter, placement: Placement) -> bool:
    """Whether the one device that holds all parameters may hold that much."""
    from accelerate.utils import convert_file_size_to_int

    (device, size), = held.items()
    limits = {name if name == "cpu" else f"cuda:{name}": limit for name, limit in placement.max_memory}
    return device not in limits or size <= convert_file_size_to_int(limits[device])


BACKEND = AcceleratePlaced()
