from verify import HERE, MANIFEST, SESSION


def build(torch, example):
    """The checkpoint that was saved quantised, by bitsandbytes."""
    import logging

    import transformers

    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
    transformers.utils.logging.disable_progress_bar()
    kind = getattr(transformers, SESSION["settings"]["architecture"])
    return kind.from_pretrained(
        HERE / MANIFEST["artifact"], attn_implementation=SESSION["settings"]["attention"], dtype=torch.float32,
        local_files_only=True, use_safetensors=True, device_map={"": "cpu"}).eval()
