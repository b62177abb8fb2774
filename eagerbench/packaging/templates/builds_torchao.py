from verify import SESSION


def build(torch, example):
    """int8 weights and activations by torchao, compiled by inductor."""
    import torch._inductor.config
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

    for name, value in SESSION["settings"]["inductor"].items():
        setattr(torch._inductor.config, name, value)
    module = loaded(torch)
    quantize_(module, Int8DynamicActivationInt8WeightConfig(
        set_inductor_config=False, reduce_range=SESSION["settings"]["reduce_range"]))
    return torch.compile(module)
