"""Kafkanames: every name that a setting of Kafka has in kafka-python, librdkafka and Java, and what each client makes of it.

A setting goes by kafka-python's name where that has one, else by librdkafka's, with underscores.
"""

from __future__ import annotations

from typing import Any

#: Settings of our own, with their defaults.
OWN: dict[str, Any] = {"topic_prefix": "grayscope", "cell": "cluster", "message_bytes": 900_000, "buffer_memory": 64 << 20, "client": "auto"}
#: Smallest values: names alone need some room.
LEAST = {"message_bytes": 10_000, "buffer_memory": 1}
#: Other clients' names for the same (librdkafka's CONFIGURATION.md, Kafka's producer and consumer configurations).
ALIASES = {
    "metadata_broker_list": "bootstrap_servers", "sasl_username": "sasl_plain_username", "sasl_password": "sasl_plain_password",
    "sasl_mechanisms": "sasl_mechanism", "ssl_ca_location": "ssl_cafile", "ssl_truststore_location": "ssl_cafile", "ssl_certificate_location": "ssl_certfile",
    "ssl_keystore_location": "ssl_certfile", "ssl_key_location": "ssl_keyfile", "ssl_key_password": "ssl_password", "ssl_crl_location": "ssl_crlfile",
    "ssl_cipher_suites": "ssl_ciphers", "compression_codec": "compression_type", "queue_buffering_max_ms": "linger_ms", "message_send_max_retries": "retries",
    "message_max_bytes": "max_request_size", "message_timeout_ms": "delivery_timeout_ms", "max_in_flight": "max_in_flight_requests_per_connection",
    "fetch_message_max_bytes": "max_partition_fetch_bytes", "fetch_wait_max_ms": "fetch_max_wait_ms", "check_crc": "check_crcs",
    "topic_metadata_refresh_interval_ms": "metadata_max_age_ms", "socket_timeout_ms": "request_timeout_ms", "request_required_acks": "acks",
    "socket_send_buffer_bytes": "send_buffer_bytes", "socket_receive_buffer_bytes": "receive_buffer_bytes", "auto_commit_enable": "enable_auto_commit",
    "sasl_kerberos_principal": "sasl_kerberos_name", "ssl_keystore_certificate_chain": "ssl_certificate_pem", "ssl_keystore_key": "ssl_key_pem",
    "ssl_truststore_certificates": "ssl_ca_pem", "sasl_oauthbearer_client_id": "sasl_oauthbearer_client_credentials_client_id",
    "sasl_oauthbearer_client_secret": "sasl_oauthbearer_client_credentials_client_secret",
}  # fmt: skip
#: kafka-python 3.0's settings: yes or no, numbers, texts. Told here, so that who works through confluent-kafka need not load it.
TRUTHS = (
    "allow_auto_create_topics", "check_crcs", "enable_auto_commit", "enable_idempotence", "enable_incremental_fetch_sessions", "exclude_internal_topics",
    "metrics_enabled", "ssl_check_hostname",
)  # fmt: skip
NUMBERS = (
    "acks", "auto_commit_interval_ms", "batch_size", "bootstrap_timeout_ms", "connections_max_idle_ms", "delivery_timeout_ms", "fetch_max_bytes",
    "fetch_max_wait_ms", "fetch_min_bytes", "heartbeat_interval_ms", "linger_ms", "max_block_ms", "max_in_flight_requests_per_connection",
    "max_partition_fetch_bytes", "max_poll_interval_ms", "max_poll_records", "max_request_size", "metadata_max_age_ms", "metrics_num_samples",
    "metrics_sample_window_ms", "receive_message_max_bytes", "reconnect_backoff_max_ms", "reconnect_backoff_ms", "request_timeout_ms", "retries",
    "retry_backoff_ms", "session_timeout_ms",
)  # fmt: skip
TEXTS = (
    "auto_offset_reset", "bootstrap_servers", "client_dns_lookup", "client_id", "client_rack", "compression_type", "group_id", "group_instance_id",
    "isolation_level", "metric_group_prefix", "proxy_url", "receive_buffer_bytes", "sasl_kerberos_domain_name", "sasl_kerberos_name",
    "sasl_kerberos_service_name", "sasl_mechanism", "sasl_plain_password", "sasl_plain_username", "security_protocol", "send_buffer_bytes", "ssl_cafile",
    "ssl_certfile", "ssl_ciphers", "ssl_crlfile", "ssl_keyfile", "ssl_password",
)  # fmt: skip
KAFKA_PYTHON: dict[str, Any] = {**dict.fromkeys(TRUTHS, False), **dict.fromkeys(NUMBERS, 0), **dict.fromkeys(TEXTS, "")}
#: kafka-python's name -> librdkafka's, where underscores for dots are not enough.
LIBRDKAFKA = {
    "sasl_plain_username": "sasl.username", "sasl_plain_password": "sasl.password", "ssl_cafile": "ssl.ca.location",
    "ssl_certfile": "ssl.certificate.location", "ssl_keyfile": "ssl.key.location", "ssl_password": "ssl.key.password", "ssl_crlfile": "ssl.crl.location",
    "ssl_ciphers": "ssl.cipher.suites", "max_request_size": "message.max.bytes", "fetch_max_wait_ms": "fetch.wait.max.ms",
    "metadata_max_age_ms": "topic.metadata.refresh.interval.ms", "request_timeout_ms": "socket.timeout.ms", "send_buffer_bytes": "socket.send.buffer.bytes",
    "receive_buffer_bytes": "socket.receive.buffer.bytes", "sasl_kerberos_name": "sasl.kerberos.principal", "log_level": "log_level",
}  # fmt: skip
#: librdkafka's alone, and not to be left out: kafka-python cannot reach a cluster that needs them, so there they are refused.
NEEDED: dict[str, Any] = dict.fromkeys((
    "ssl_ca_pem", "ssl_certificate_pem", "ssl_key_pem", "ssl_providers", "ssl_curves_list", "ssl_sigalgs_list", "https_ca_location",
    "https_ca_pem", "sasl_kerberos_keytab", "sasl_kerberos_kinit_cmd", "sasl_oauthbearer_method", "sasl_oauthbearer_config",
    "sasl_oauthbearer_client_credentials_client_id", "sasl_oauthbearer_client_credentials_client_secret", "sasl_oauthbearer_scope",
    "sasl_oauthbearer_extensions", "sasl_oauthbearer_token_endpoint_url", "sasl_oauthbearer_sub_claim_name", "sasl_oauthbearer_grant_type",
    "sasl_oauthbearer_assertion_algorithm", "sasl_oauthbearer_assertion_private_key_file", "sasl_oauthbearer_assertion_private_key_passphrase",
    "sasl_oauthbearer_assertion_private_key_pem", "sasl_oauthbearer_assertion_file", "sasl_oauthbearer_assertion_claim_aud",
    "sasl_oauthbearer_assertion_claim_exp_seconds", "sasl_oauthbearer_assertion_claim_iss", "sasl_oauthbearer_assertion_claim_jti_include",
    "sasl_oauthbearer_assertion_claim_nbf_seconds", "sasl_oauthbearer_assertion_claim_sub", "sasl_oauthbearer_assertion_jwt_template_file",
    "sasl_oauthbearer_metadata_authentication_type", "sasl_kerberos_min_time_before_relogin",
), "")  # fmt: skip
#: librdkafka's alone, for its speed and patience: with kafka-python they do nothing.
TUNING: dict[str, Any] = {
    **dict.fromkeys((
        "queue_buffering_max_messages", "queue_buffering_max_kbytes", "queue_buffering_backpressure_threshold", "queued_min_messages",
        "queued_max_messages_kbytes", "batch_num_messages", "sticky_partitioning_linger_ms", "fetch_queue_backoff_ms", "fetch_error_backoff_ms",
        "message_copy_max_bytes", "coordinator_query_interval_ms", "socket_max_fails", "socket_connection_setup_timeout_ms", "broker_address_ttl",
        "reconnect_backoff_jitter_ms", "retry_backoff_max_ms", "topic_metadata_refresh_fast_interval_ms", "topic_metadata_propagation_max_ms",
        "metadata_recovery_rebootstrap_trigger_ms", "api_version_request_timeout_ms", "statistics_interval_ms", "log_level",
    ), 0),
    **dict.fromkeys(("socket_keepalive_enable", "socket_nagle_disable", "topic_metadata_refresh_sparse", "log_connection_close", "enable_metrics_push"), False),
    **dict.fromkeys(("debug", "broker_address_family", "metadata_recovery_strategy", "group_protocol", "group_remote_assignor", "compression_level"), ""),
}  # fmt: skip
#: Java's alone, without a counterpart in either client: they do nothing.
JAVA: dict[str, Any] = dict.fromkeys((
    "default_api_timeout_ms", "metadata_max_idle_ms", "socket_connection_setup_timeout_max_ms", "compression_gzip_level", "compression_lz4_level",
    "compression_zstd_level", "metrics_recording_level",
), "")  # fmt: skip
#: kafka-python's alone: with confluent-kafka they do nothing, or (`max_block_ms`, `max_poll_records`) we do it ourselves.
PYTHON = frozenset({"exclude_internal_topics", "enable_incremental_fetch_sessions", "metric_group_prefix", "metrics_enabled", "metrics_num_samples",
                    "metrics_sample_window_ms", "bootstrap_timeout_ms", "sasl_kerberos_domain_name"})  # fmt: skip
OURS = frozenset({"max_block_ms", "max_poll_records", "auto_commit_interval_ms"})
#: kafka-python's alone, and not to be left out.
PROXY = frozenset({"proxy_url"})
#: What keeps the promise that nothing is lost, or that both clients mean the same; another value is refused.
FIXED = {"acks": ("all", "-1"), "enable_idempotence": ("true",), "enable_auto_commit": ("false",), "allow_auto_create_topics": ("false",),
         "isolation_level": ("read_committed",), "enable_ssl_certificate_verification": ("true",), "ssl_keystore_type": ("PEM", "pem"),
         "ssl_truststore_type": ("PEM", "pem")}  # fmt: skip
#: Objects of Python, which no file can hold, and what is ours to decide.
OBJECTS = frozenset({"key_serializer", "value_serializer", "key_deserializer", "value_deserializer", "partitioner", "socket_options", "ssl_context", "selector",
                     "metric_reporters", "kafka_client", "sasl_oauth_token_provider", "default_offset_commit_callback", "partition_assignment_strategy",
                     "consumer_timeout_ms", "api_version", "transactional_id", "transaction_timeout_ms", "socks5_proxy"})  # fmt: skip
#: Names that are known, and what to do instead.
INSTEAD = {
    "sasl_jaas_config": "give sasl.username and sasl.password", "ssl_truststore_password": "certificates in PEM have none: leave it out",
    "ssl_keystore_password": "certificates in PEM have none: leave it out, or give ssl.key.password", "partitioner": "it is murmur2, as Java's: leave it out",
    "partitioner_class": "it is murmur2, as Java's: leave it out", "partition_assignment_strategy": "it is range, so that a cell's topics stay together",
    "transactional_id": "grayscope names it itself: leave it out",
}  # fmt: skip
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
COMPRESSIONS = ("none", "lz4", "zstd", "gzip", "snappy")
CLIENTS = ("auto", "kafka-python", "confluent")
