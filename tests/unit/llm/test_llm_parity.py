"""The same prompt, rows and all, through llama.cpp and through transformers."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest

from emer_edge.llm.context import ClipContext
from emer_edge.llm.gguf import Llm
from tests.data.make_llm import MODEL_DIM

_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_output": "self_attn.o_proj",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


@pytest.mark.filterwarnings("ignore")
def test_prompt_and_tokens_equal_transformers(llm: Llm, gguf_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="the exporter's libraries are not installed")
    transformers = pytest.importorskip("transformers", reason="the exporter's libraries are not installed")
    reader = gguf.GGUFReader(gguf_path)

    def value(key: str) -> int | float:
        return reader.fields[f"qwen3.{key}"].contents()  # type: ignore[no-any-return]

    config = transformers.Qwen3Config(
        vocab_size=llm.n_vocab,
        hidden_size=MODEL_DIM,
        intermediate_size=value("feed_forward_length"),
        num_hidden_layers=value("block_count"),
        num_attention_heads=value("attention.head_count"),
        num_key_value_heads=value("attention.head_count_kv"),
        head_dim=value("attention.key_length"),
        rms_norm_eps=value("attention.layer_norm_rms_epsilon"),
        rope_theta=value("rope.freq_base"),
        tie_word_embeddings=True,
        attn_implementation="eager",
    )
    model = transformers.Qwen3ForCausalLM(config).eval()
    state = {}
    for tensor in reader.tensors:
        name = _NAMES.get(tensor.name)
        if name is None:
            _, layer, part, kind = tensor.name.split(".")
            name = f"model.layers.{layer}.{_NAMES[part]}.{kind}"
        state[name] = torch.from_numpy(np.array(tensor.data, np.float32))
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert set(missing) <= {"lm_head.weight"}
    assert not unexpected

    random = np.random.default_rng(11)
    ids = random.integers(0, 256, 40, dtype=np.int32)
    soft = random.standard_normal((5, MODEL_DIM)).astype(np.float32)
    prefix, tail = llm.lay([ids[:25], soft]), llm.lay([ids[25:]])
    branch = ClipContext(llm, prefix, [tail]).branches[0]
    rows = torch.from_numpy(np.concatenate([prefix, tail]))[None]
    token = int(branch.logits.argmax())
    with torch.no_grad():
        first = model(inputs_embeds=rows).logits[0, -1].numpy()
        more = torch.cat([rows, model.model.embed_tokens(torch.tensor([[token]]))], 1)
        second = model(inputs_embeds=more).logits[0, -1].numpy()
    np.testing.assert_allclose(branch.logits, first, atol=1e-3)
    np.testing.assert_allclose(branch.step(token), second, atol=1e-3)
