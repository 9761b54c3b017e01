"""Keys of configs that change no shape and no count, and the reasons."""

from __future__ import annotations

_TRAINING = (
    "initializer_range", "initializer_factor", "init_std", "attention_dropout", "attn_pdrop",
    "embd_pdrop", "resid_pdrop", "resid_dropout", "hidden_dropout_prob", "hidden_dropout",
    "attention_probs_dropout_prob", "embedding_dropout", "embd_dropout", "dropout",
    "classifier_dropout", "summary_first_dropout", "activation_dropout", "pretraining_tp",
    "rescale_attention", "gradient_checkpointing", "router_aux_loss_coef", "output_router_logits",
    "router_jitter_noise", "moe_jitter_eps", "moe_loss_weight", "aux_loss_alpha", "seq_aux",
    "emb_pdrop", "drop_path_rate", "encoder_stride", "pretrained_window_sizes",
    "rescale_prenorm_residual", "time_step_init_scheme", "time_step_scale", "z_loss_coefficient",
    "layerscale_value", "logit_scale_init_value", "pos_embed_rescale",
)  # fmt: skip
_LINEAR = (
    "logits_soft_cap", "linear_allow_neg_eigval", "num_expert_group", "moe_renormalize",
    "use_grouped_topk", "use_expert_bias", "shared_moe_mode", "rotary_dim", "block_norm_eps",
    "use_pos_enc", "mrope_section", "mrope_interleaved",
)  # fmt: skip
_STARTING = (
    "w_init_variance_scale", "final_w_init_variance_scale", "block_mlp_init_scale",
    "block_out_init_scale", "block_use_xavier_init", "conv_use_xavier_init",
    "mtp_use_dedicated_embeddings",
)  # fmt: skip
_TWICE = ("config_groups", "block_dim", "conv_dim", "conv_dim_out", "num_heads")
_TOKENS = (
    "bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id", "cls_token_id",
    "mask_token_id", "unk_token_id", "decoder_start_token_id", "forced_eos_token_id", "label2id",
    "suppress_tokens", "begin_suppress_tokens", "tokenizer_class", "image_token_index",
    "image_token_id", "boi_token_index", "eoi_token_index", "ignore_index", "video_token_id",
    "vision_start_token_id", "vision_end_token_id", "vision_token_id",
)  # fmt: skip
_VALUES = (
    "rope_theta", "rope_scaling", "rope_parameters", "rms_norm_eps", "layer_norm_eps",
    "layer_norm_epsilon", "norm_eps", "scale_attn_weights", "reorder_and_upcast_attn",
    "scale_attn_by_inverse_layer_idx", "query_pre_attn_scalar", "attn_logit_softcapping",
    "final_logit_softcapping", "original_max_position_embeddings", "norm_topk_prob",
    "routed_scaling_factor", "hidden_activation_scale", "embedding_multiplier", "n_group",
    "topk_group", "topk_method", "swiglu_limit", "upcast_attention", "residual_in_fp32",
    "time_step_floor", "time_step_max", "time_step_min", "time_step_limit", "key_multiplier",
    "lm_head_multiplier", "mlp_multipliers", "ssm_multipliers", "ssm_in_multiplier",
    "ssm_out_multiplier", "attention_in_multiplier", "attention_out_multiplier",
    "residual_multiplier", "attention_multiplier", "logits_scaling", "mamba_norm_before_gate",
    "tokens_per_second",
)  # fmt: skip
_RUNNING = (
    "use_cache", "transformers_version", "auto_map", "_name_or_path", "_commit_hash",
    "task_specific_params", "output_attentions", "output_hidden_states", "return_dict",
    "use_return_dict", "torchscript", "_attn_implementation", "attn_implementation",
    "summary_type", "summary_use_proj", "summary_activation", "summary_proj_to_labels", "n_ctx",
    "_diffusers_version", "finetuning_task", "problem_type", "generation_config",
    "cache_implementation", "use_mamba_kernels", "use_mambapy", "use_associative_scan",
    "use_mem_eff_path", "num_logits_to_keep",
)  # fmt: skip
_PACKING = (
    "quant_method", "sym", "desc_act", "damp_percent", "true_sequential", "static_groups", "meta",
    "model_name_or_path", "model_file_base_name", "is_marlin_format", "zero_point", "backend",
    "do_fuse", "fuse_max_seq_len", "exllama_config", "use_exllama", "tokenizer", "dataset",
    "batch_size", "cache_block_outputs", "max_input_length", "module_name_preceding_first_block",
    "pad_token_id", "block_name_to_quantize", "use_cuda_fp16", "model_seqlen",
    "bnb_4bit_compute_dtype", "bnb_4bit_quant_storage", "llm_int8_enable_fp32_cpu_offload",
    "llm_int8_has_fp16_weight", "llm_int8_threshold", "fmt", "quantization_status", "version",
    "observer", "observer_kwargs", "producer", "global_compression_ratio", "output_activations",
    "activation_scale_ub", "transform_config", "zp_dtype", "is_dynamic", "dynamic", "pack_dtype",
    "pack_method", "weight_format", "weight_merge_groups", "min_kv_scale", "observer_cls",
    "round_method", "scale_type", "is_scale_quant", "output_tensors", "kv_cache_post_rope",
    "autoround_version", "scale_dtype", "act_bits", "_load_in_4bit", "_load_in_8bit", "ch_axis",
    "int4_choose_qparams_algorithm", "int4_packing_format", "set_inductor_config",
    "quant_type_kwargs", "scale_fmt", "offload_meta", "axis", "channel_wise", "optimize",
    "round_zero", "view_as_float", "backward_dtype", "forward_method", "transform_init",
    "hadamard_size", "p", "tune_metadata", "out_scales", "_version", "fqn",
)  # fmt: skip
_CALIBRATION = (
    "amp", "enable_minmax_tuning", "enable_norm_bias_tuning", "enable_quanted_input",
    "gradient_accumulate_steps", "iters", "low_gpu_mem_usage", "lr", "minmax_lr", "nsamples",
    "seqlen", "calibration", "quant_mode",
)  # fmt: skip

NO_BEARING = {
    **dict.fromkeys(_LINEAR, "changes values, not shapes"),
    **dict.fromkeys(_STARTING, "for training only"),
    **dict.fromkeys(_TWICE, "repeats another key"),
    **dict.fromkeys(_TRAINING, "for training only"),
    **dict.fromkeys(_TOKENS, "names and numbers of tokens"),
    **dict.fromkeys(_VALUES, "changes values, not shapes"),
    **dict.fromkeys(_RUNNING, "about running or training"),
    **dict.fromkeys(_PACKING, "changes values, not bytes"),
    **dict.fromkeys(_CALIBRATION, "how the weights were quantised"),
}
# Keys of a quantisation that are read for the weights, and change only values elsewhere.
_OF_ACTIVATIONS = (".input_activations.", ".input_tensors.", ".kv_cache_scheme.")


def bearing(key: str, value: object = "") -> str:
    """Return why an unread key changes no count, or that the reason is not known.

    Args:
        key: with the keys of the mappings around it, as ``quantization_config.sym``.
        value: its value; a null states nothing.
    """
    if value is None or value == {}:
        return "empty"
    if any(part in key for part in _OF_ACTIVATIONS):
        return "of activations"
    return NO_BEARING.get(key.rpartition(".")[2], "not known")
