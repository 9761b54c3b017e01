"""Keys of configs that change no shape and no count, and why."""

from __future__ import annotations

_TRAINING = (
    "initializer_range", "initializer_factor", "init_std", "attention_dropout", "attn_pdrop",
    "embd_pdrop", "resid_pdrop", "resid_dropout", "hidden_dropout_prob", "hidden_dropout",
    "attention_probs_dropout_prob", "embedding_dropout", "embd_dropout", "dropout",
    "classifier_dropout", "summary_first_dropout", "activation_dropout", "pretraining_tp",
    "rescale_attention", "gradient_checkpointing", "router_aux_loss_coef", "output_router_logits",
    "router_jitter_noise", "moe_jitter_eps", "moe_loss_weight", "aux_loss_alpha", "seq_aux",
    "emb_pdrop",
)  # fmt: skip
_TOKENS = (
    "bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id", "cls_token_id",
    "mask_token_id", "unk_token_id", "decoder_start_token_id", "forced_eos_token_id", "label2id",
    "suppress_tokens", "begin_suppress_tokens", "tokenizer_class",
)  # fmt: skip
_VALUES = (
    "rope_theta", "rope_scaling", "rope_parameters", "rms_norm_eps", "layer_norm_eps",
    "layer_norm_epsilon", "norm_eps", "scale_attn_weights", "reorder_and_upcast_attn",
    "scale_attn_by_inverse_layer_idx", "query_pre_attn_scalar", "attn_logit_softcapping",
    "final_logit_softcapping", "original_max_position_embeddings", "norm_topk_prob",
    "routed_scaling_factor", "hidden_activation_scale", "embedding_multiplier", "n_group",
    "topk_group", "topk_method", "swiglu_limit",
)  # fmt: skip
_RUNNING = (
    "use_cache", "transformers_version", "auto_map", "_name_or_path", "_commit_hash",
    "task_specific_params", "output_attentions", "output_hidden_states", "return_dict",
    "use_return_dict", "torchscript", "_attn_implementation", "attn_implementation",
    "summary_type", "summary_use_proj", "summary_activation", "summary_proj_to_labels", "n_ctx",
    "finetuning_task", "problem_type", "generation_config", "cache_implementation",
)  # fmt: skip
_PACKING = (
    "quant_method", "sym", "desc_act", "damp_percent", "true_sequential", "static_groups", "meta",
    "model_name_or_path", "model_file_base_name", "is_marlin_format", "zero_point", "backend",
    "do_fuse", "fuse_max_seq_len", "exllama_config", "use_exllama", "tokenizer", "dataset",
    "batch_size", "cache_block_outputs", "max_input_length", "module_name_preceding_first_block",
    "pad_token_id", "block_name_to_quantize", "use_cuda_fp16", "model_seqlen",
    "bnb_4bit_compute_dtype", "bnb_4bit_quant_storage", "llm_int8_enable_fp32_cpu_offload",
    "llm_int8_has_fp16_weight", "llm_int8_threshold", "fmt", "quantization_status", "version",
    "kv_cache_scheme", "observer", "observer_kwargs", "producer", "global_compression_ratio",
    "output_activations",
)  # fmt: skip

NO_BEARING = {
    **dict.fromkeys(_TRAINING, "for training only"),
    **dict.fromkeys(_TOKENS, "names and numbers of tokens"),
    **dict.fromkeys(_VALUES, "changes values, not shapes"),
    **dict.fromkeys(_RUNNING, "how it is run or was made"),
    **dict.fromkeys(_PACKING, "changes values, not bytes"),
}


def bearing(key: str) -> str:
    """Return why a key that nothing reads changes no count, or that this is not known."""
    return NO_BEARING.get(key.rpartition(".")[2], "not known")
