"""Keys of configs that change no shape and no count, and the reasons."""

from __future__ import annotations

_TRAINING = (
    "initializer_range", "embedding_initializer_range", "initializer_factor", "init_std",
    "attention_dropout", "attn_pdrop",
    "embd_pdrop", "resid_pdrop", "resid_dropout", "hidden_dropout_prob", "hidden_dropout",
    "attention_probs_dropout_prob", "embedding_dropout", "embd_dropout", "dropout",
    "classifier_dropout", "summary_first_dropout", "activation_dropout", "pretraining_tp",
    "rescale_attention", "gradient_checkpointing", "router_aux_loss_coef", "output_router_logits",
    "router_jitter_noise", "moe_jitter_eps", "moe_loss_weight", "aux_loss_alpha", "seq_aux",
    "emb_pdrop", "drop_path_rate", "encoder_stride", "pretrained_window_sizes",
    "rescale_prenorm_residual", "time_step_init_scheme", "time_step_scale", "z_loss_coefficient",
    "layerscale_value", "logit_scale_init_value", "pos_embed_rescale",
    "decoder_layerdrop", "encoder_layerdrop", "layerdrop", "dropout_rate",
    "classifier_dropout_prob", "qa_dropout", "seq_classif_dropout", "mlp_dropout",
    "embed_dropout", "embedding_dropout_prob", "residual_dropout", "summary_last_dropout",
    "pooler_dropout", "input_jitter_noise", "initializer_cutoff_factor", "apply_spec_augment",
    "mask_feature_length", "mask_feature_min_masks", "mask_feature_prob", "mask_time_length",
    "mask_time_min_masks", "mask_time_prob", "auxiliary_channels", "auxiliary_concat_input",
    "auxiliary_loss_weight", "auxiliary_num_convs", "use_auxiliary_head",
    "semantic_loss_ignore_index", "sparse_prediction", "sparse_pred_ignore_index",
    "linear_a_log_max", "linear_a_log_min", "linear_dt_init_floor", "linear_dt_max",
    "linear_dt_min", "init_device", "init_config", "use_xentropy", "emb_dropout",
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
_TWICE = (
    "config_groups",
    "block_dim", "conv_dim", "conv_dim_out", "num_heads", "text_config.torch_dtype",
    "text_config.dtype", "vision_config.torch_dtype", "vision_config.dtype",
    "_vocab_size", "experts_per_token", "max_sequence_length", "projection_dim", "model_type",
    "is_encoder_decoder", "is_decoder", "tie_weights_", "mtp_transformer_layers",
    "mtp_hybrid_override_pattern", "mtp_layers_block_type",
)  # fmt: skip
_TOKENS = (
    "bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id", "cls_token_id",
    "mask_token_id", "unk_token_id", "decoder_start_token_id", "forced_eos_token_id", "label2id",
    "suppress_tokens", "begin_suppress_tokens", "tokenizer_class", "image_token_index",
    "image_token_id", "boi_token_index", "eoi_token_index", "ignore_index", "video_token_id",
    "vision_start_token_id", "vision_end_token_id", "vision_token_id",
    "eod_token_id", "id2label", "prefix", "bad_words_ids", "forced_bos_token_id",
    "num_image_tokens", "media_placeholder_token_id", "audio_token_id",
)  # fmt: skip
_VALUES = (
    "standardize", "use_clipped_linears",
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
    "rope_interleave", "rope_interleaved", "rope_type", "rotary_emb_base",
    "rotary_emb_interleaved", "rotary_emb_scale_base", "rotary_scaling_factor",
    "rope_local_base_freq", "global_rope_theta", "local_rope_theta", "norm_epsilon",
    "mixer_rms_eps", "logit_scale", "attn_scale", "floor_scale", "attn_temperature_tuning",
    "moe_norm_min", "moe_normalize_expert_weights", "scale_embedding", "scale_decoder_outputs",
    "attention_softmax_in_fp32", "scale_attention_softmax_in_fp32", "softmax_scale",
    "alibi_bias_max", "swiglu_alpha", "scoring_func", "token_dropout", "sinusoidal_pos_embds",
    "embedding_fraction", "initial_context_length", "max_trained_positions",
    "relative_attention_max_distance", "offset_alibi",
    "apply_residual_connection_post_layernorm", "num_embeds_ada_norm", "use_logn_attn",
    "use_dynamic_ntk", "logn_attention_scale", "logn_attention_clip1", "layernorm_epsilon",
    "mscale", "compress_rope_theta", "hc_eps", "indexer_rope_interleave", "moe_router_dtype",
    "sliding_attention", "full_attention",
)  # fmt: skip
_RUNNING = (
    "use_cache", "transformers_version", "auto_map", "_name_or_path", "_commit_hash",
    "task_specific_params", "output_attentions", "output_hidden_states", "return_dict",
    "use_return_dict", "torchscript", "_attn_implementation", "attn_implementation",
    "summary_type", "summary_use_proj", "summary_activation", "summary_proj_to_labels", "n_ctx",
    "_diffusers_version", "finetuning_task", "problem_type", "generation_config",
    "cache_implementation", "use_mamba_kernels", "use_mambapy", "use_associative_scan",
    "use_mem_eff_path", "num_logits_to_keep",
    "attn_impl", "attn_uses_sequence_id", "bias_dropout_fusion", "masked_softmax_fusion",
    "skip_bias_add", "skip_bias_add_qkv", "deterministic_flash_attn", "fused_bias_fc",
    "fused_dropout_add_ln", "dense_seq_output", "output_past", "predict_special_tokens",
    "n_special", "ep_size", "index_share_for_mtp_iteration", "chunk_size_feed_forward",
    "is_llama_config", "reshape_hidden_states",
    "median_filter_width", "apply_layernorm", "out_features", "out_indices", "stage_names",
    "slow_but_exact", "moe_shared_expert_overlap", "pooled_output", "emb_pooler", "pack_qkv",
    "unpad_inputs", "use_memory_efficient_attention", "use_flash_attn", "flash_attn",
    "flash_rotary", "fused_dense", "bf16", "fp16", "fp32", "use_cache_quantization",
    "use_cache_kernel", "max_length", "min_length", "do_sample", "early_stopping", "num_beams",
    "num_beam_groups", "diversity_penalty", "temperature", "top_k", "top_p", "typical_p",
    "repetition_penalty", "length_penalty", "no_repeat_ngram_size",
    "encoder_no_repeat_ngram_size", "num_return_sequences", "output_scores",
    "return_dict_in_generate", "remove_invalid_values", "exponential_decay_length_penalty",
    "tf_legacy_loss", "use_bfloat16", "loss_type", "onnx", "_experts_implementation",
    "_experts_implementation_internal",
)  # fmt: skip
_PACKING = (
    "quant_method", "sym", "desc_act", "damp_percent", "true_sequential", "static_groups", "meta",
    "model_name_or_path", "model_file_base_name", "is_marlin_format", "zero_point", "backend",
    "do_fuse", "fuse_max_seq_len", "exllama_config", "use_exllama", "tokenizer", "dataset",
    "batch_size", "cache_block_outputs", "max_input_length", "module_name_preceding_first_block",
    "pad_token_id", "block_name_to_quantize", "use_cuda_fp16", "model_seqlen",
    "bnb_4bit_compute_dtype", "bnb_4bit_quant_storage", "llm_int8_enable_fp32_cpu_offload",
    "llm_int8_has_fp16_weight", "llm_int8_threshold", "fmt", "quantization_status", "version",
    "type", "kv_cache_quant_algo", "observer", "observer_kwargs", "producer",
    "global_compression_ratio", "output_activations",
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

# They are refused where they are on.
_OFF = (
    "pruned_heads", "tie_encoder_decoder", "add_cross_attention", "cross_attention_hidden_size",
)  # fmt: skip

# Keys that change counts in other types, and the types in which they do not, with the reason.
_OF_TYPES: dict[str, dict[str, str]] = {
    "the class has no such switch": {
        "bart mbart marian pegasus blenderbot blenderbot-small plbart": (
            "add_bias_logits add_final_layer_norm normalize_before normalize_embedding "
            "static_position_embeddings extra_layer_norm extra_pos_embeddings layernorm_variant"
        ),
        "bamba nemotron_h": "mamba_proj_bias",
        "beit data2vec-vision": "add_fpn pool_scales",
        "deberta deberta-v2": "pooler_hidden_act",
        "DiTTransformer2DModel PixArtTransformer2DModel": (
            "double_self_attention norm_num_groups only_cross_attention use_linear_projection "
            "num_vector_embeds cross_attention_dim"
        ),
        "modernbert": "position_embedding_type tie_word_embeddings decoder_bias classifier_bias "
        "classifier_activation",
        "starcoder2": "mlp_type norm_type activation_function",
        "dinov2": "hidden_act",
        "esm": "hidden_act",
        "mpt": "learned_pos_emb norm_type tie_word_embeddings",
        "bloom": "tie_word_embeddings",
        "nemotron_h": "n_shared_experts partial_rotary_factor",
        "qwen3_5_text qwen3_5_moe_text qwen3_5 qwen3_5_moe": "mlp_only_layers",
        "granitemoehybrid bamba": "attention_bias",
        "beit": "vocab_size",
        "ijepa": "pooler_act pooler_output_size",
        "qwen3_moe": "use_qk_norm",
        "whisper": "classifier_proj_size use_weighted_layer_sum",
        "rembert": "embedding_size tie_word_embeddings",
        "zamba": "attn_layer_offset attn_layer_period",
        "gptj codegen": "rotary",
        "qwen2": "use_mrope",
        "minimax_m2": "use_mtp",
        "deepseek_v32 glm_moe_dsa": "mlp_bias",
    },
    "repeats another key": {
        "nomic_bert": (
            "activation_function n_embd n_head n_inner n_layer n_positions pad_vocab_size_multiple"
        ),
    },
    "the class computes it from other keys": {
        "axk1 cohere2 deepseek_v3 deepseek_v32 glm4_moe_lite glm_moe_dsa kimi_linear kimi_k2 "
        "mistral4 youtu": "head_dim qk_head_dim",
        "mamba2 nemotron_h": "time_step_rank expand",
        "deepseek_v4": "qk_rope_head_dim",
        "falcon_h1": "mamba_expand",
        "t5 mt5 umt5": "dense_act_fn is_gated_act",
        "zamba2": "hybrid_layer_ids kv_channels num_query_groups",
        "swin swinv2 idefics3 smolvlm": "hidden_size",
        "paligemma idefics3 smolvlm": "hidden_size vocab_size",
        "llava paligemma": "vocab_size image_seq_length projector_hidden_act",
        "qwen2_vl qwen2_5_vl": "in_chans spatial_patch_size",
        "gpt_neo": "attention_layers",
        "dbrx": "hidden_size",
        "clip": "text_config vision_config hidden_size hidden_act intermediate_size vocab_size "
        "max_position_embeddings num_attention_heads",
    },
    "layer_types or another list of layers comes before it": {
        "qwen3_5_text qwen3_5_moe_text qwen3_5 qwen3_5_moe qwen3_next": "full_attention_interval",
        "smollm3 llama4_text": "no_rope_layer_interval",
        "gemma3_text exaone4 cohere2": "_sliding_window_pattern sliding_window_pattern",
        "lfm2": "full_attn_idxs",
        "deepseek_v32 glm_moe_dsa": (
            "first_k_dense_replace moe_layer_freq layer_types index_topk_freq "
            "index_skip_topk_offset"
        ),
        "smollm3": "max_window_layers",
    },
    "read only with sliding windows, which are off": {
        "qwen2 qwen3 qwen2_moe qwen3_moe qwen2_vl qwen2_5_vl": (
            "max_window_layers use_sliding_window layer_types sliding_window"
        ),
    },
    "read only where a layer has such a part": {
        "granitemoehybrid bamba falcon_h1 jamba zamba nemotron_h": (
            "num_attention_heads num_key_value_heads intermediate_size num_experts_per_tok "
            "sliding_window head_dim"
        ),
        "mistral4 qwen2_moe qwen3_moe qwen3_next qwen3_vl_moe": "intermediate_size",
        "lfm2": "conv_L_cache conv_bias",
        "gemma2 gemma3_text": "hidden_act sliding_window_size",
        "gpt_oss": "hidden_act",
        "falcon": "num_kv_heads multi_query",
        "ernie": "task_type_vocab_size",
        "marian": "decoder_vocab_size",
        "dbrx": "num_key_value_heads",
        "clip_text_model clip_vision_model": "projection_dim",
        "deberta deberta-v2": "max_relative_positions",
        "t5 mt5 umt5": "n_positions",
        "zamba2": "use_conv_bias",
        "qwen3_moe": "num_local_experts",
    },
}

_UNREAD = (
    "multi_modal_projector_bias", "projector_dropout", "vision_feature_layer",
    "vision_feature_select_strategy",
)  # fmt: skip

NO_BEARING = {
    **dict.fromkeys(_UNREAD, "not read by transformers' class"),
    **dict.fromkeys(_OFF, "off"),
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


_BY_TYPE = {
    (model_type, key): reason
    for reason, rows in _OF_TYPES.items()
    for types, keys in rows.items()
    for model_type in types.split()
    for key in keys.split()
}
_NOT_KNOWN = "not known"


def bearing(key: str, value: object = "", model_type: str = "") -> str:
    """Return why an unread key changes no count, or that the reason is not known.

    Args:
        key: with the keys of the mappings around it, as ``quantization_config.sym``.
        value: its value; a null states nothing.
        model_type: of the whole config.
    """
    if value is None or value == {}:
        return "empty"
    if any(part in key for part in _OF_ACTIVATIONS):
        return "of activations"
    last = key.rpartition(".")[2]
    return (
        _BY_TYPE.get((model_type, last)) or NO_BEARING.get(key) or NO_BEARING.get(last, _NOT_KNOWN)
    )


def is_known(key: str, value: object = "", model_type: str = "") -> bool:
    """Return whether the reason is known why an unread key changes no count."""
    return bearing(key, value, model_type) != _NOT_KNOWN
