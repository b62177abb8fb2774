from verify import HERE, MANIFEST, SESSION


def loaded(torch):
    """The model of the shipped weights, in float32."""
    import transformers

    transformers.utils.logging.disable_progress_bar()
    kind = getattr(transformers, SESSION["settings"]["architecture"])
    return kind.from_pretrained(HERE / MANIFEST["artifact"], attn_implementation=SESSION["settings"]["attention"],
                                dtype=torch.float32, local_files_only=True, use_safetensors=True).eval()
