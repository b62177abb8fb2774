from verify import HERE, MANIFEST, SESSION


def build(torch, example):
    """The model with its encoders as torch.nn.TransformerEncoder, and the shipped weights."""
    import transformers
    from safetensors.torch import load_model

    class Stack(torch.nn.Module):
        """Called by the model as one layer of its own."""

        def __init__(self, layers, nested, **layer):
            super().__init__()
            one = torch.nn.TransformerEncoderLayer(dropout=0.0, batch_first=True, **layer)
            self.encoder = torch.nn.TransformerEncoder(one, layers, enable_nested_tensor=nested)

        def forward(self, states, attention_mask=None, *_, **asked):
            kept = None if attention_mask is None else attention_mask[:, 0, 0].expand(states.shape[:2])
            return self.encoder(states, src_key_padding_mask=None if kept is None else ~kept)

    torch.backends.mha.set_fastpath_enabled(SESSION["settings"]["fast_path"])
    config = transformers.AutoConfig.from_pretrained(HERE / MANIFEST["artifact"], local_files_only=True)
    module = getattr(transformers, SESSION["settings"]["architecture"])._from_config(config, attn_implementation="sdpa")
    for path, layer in SESSION["settings"]["encoders"].items():
        owner, _, leaf = path.rpartition(".")
        setattr(module.get_submodule(owner), leaf, torch.nn.ModuleList([Stack(**layer)]))
    load_model(module, HERE / MANIFEST["artifact"] / "model.safetensors")
    return module.eval()
