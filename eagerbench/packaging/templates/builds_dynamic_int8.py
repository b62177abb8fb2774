from verify import SESSION


def build(torch, example):
    """Linear layers with int8 weights, one scale a row."""
    import copy

    from torch.ao.quantization import per_channel_dynamic_qconfig, quantize_dynamic

    torch.backends.quantized.engine = SESSION["settings"]["quantized_engine"]
    wanted = {torch.nn.Linear: copy.deepcopy(per_channel_dynamic_qconfig)}
    return quantize_dynamic(loaded(torch), wanted, dtype=torch.qint8)
