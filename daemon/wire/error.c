/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of transport errors, for close reasons and logs. */
#include "wire/error.h"

#include <inttypes.h>
#include <stdio.h>

static const struct {
	uint64_t code;
	const char *name;
} names[] = {
	/* clang-format off */
	{QB_QUIC_NO_ERROR,                   "NO_ERROR"},
	{QB_QUIC_INTERNAL_ERROR,             "INTERNAL_ERROR"},
	{QB_QUIC_CONNECTION_REFUSED,         "CONNECTION_REFUSED"},
	{QB_QUIC_FLOW_CONTROL_ERROR,         "FLOW_CONTROL_ERROR"},
	{QB_QUIC_STREAM_LIMIT_ERROR,         "STREAM_LIMIT_ERROR"},
	{QB_QUIC_STREAM_STATE_ERROR,         "STREAM_STATE_ERROR"},
	{QB_QUIC_FINAL_SIZE_ERROR,           "FINAL_SIZE_ERROR"},
	{QB_QUIC_FRAME_ENCODING_ERROR,       "FRAME_ENCODING_ERROR"},
	{QB_QUIC_TRANSPORT_PARAMETER_ERROR,  "TRANSPORT_PARAMETER_ERROR"},
	{QB_QUIC_CONNECTION_ID_LIMIT_ERROR,  "CONNECTION_ID_LIMIT_ERROR"},
	{QB_QUIC_PROTOCOL_VIOLATION,         "PROTOCOL_VIOLATION"},
	{QB_QUIC_INVALID_TOKEN,              "INVALID_TOKEN"},
	{QB_QUIC_APPLICATION_ERROR,          "APPLICATION_ERROR"},
	{QB_QUIC_CRYPTO_BUFFER_EXCEEDED,     "CRYPTO_BUFFER_EXCEEDED"},
	{QB_QUIC_KEY_UPDATE_ERROR,           "KEY_UPDATE_ERROR"},
	{QB_QUIC_AEAD_LIMIT_REACHED,         "AEAD_LIMIT_REACHED"},
	{QB_QUIC_NO_VIABLE_PATH,             "NO_VIABLE_PATH"},
	{QB_QUIC_VERSION_NEGOTIATION_ERROR,  "VERSION_NEGOTIATION_ERROR"},
	{QB_QUIC_APPLICATION_ABANDON_PATH,   "APPLICATION_ABANDON_PATH"},
	{QB_QUIC_PATH_RESOURCE_LIMIT_REACHED,"PATH_RESOURCE_LIMIT_REACHED"},
	{QB_QUIC_PATH_UNSTABLE_OR_POOR,      "PATH_UNSTABLE_OR_POOR"},
	{QB_QUIC_NO_CID_AVAILABLE_FOR_PATH,  "NO_CID_AVAILABLE_FOR_PATH"},
	/* clang-format on */
};

const char *qb_quic_error_name(uint64_t code)
{
	if (code >= QB_QUIC_CRYPTO_ERROR && code <= QB_QUIC_CRYPTO_ERROR_LAST)
		return "CRYPTO_ERROR";
	for (size_t i = 0; i < QB_ARRAY_LEN(names); i++)
		if (names[i].code == code)
			return names[i].name;
	return "UNKNOWN";
}

/* TLS alerts (RFC 8446 §6) */
static const char *const alerts[] = {
	[0] = "close_notify",
	[10] = "unexpected_message",
	[20] = "bad_record_mac",
	[22] = "record_overflow",
	[40] = "handshake_failure",
	[42] = "bad_certificate",
	[43] = "unsupported_certificate",
	[44] = "certificate_revoked",
	[45] = "certificate_expired",
	[46] = "certificate_unknown",
	[47] = "illegal_parameter",
	[48] = "unknown_ca",
	[49] = "access_denied",
	[50] = "decode_error",
	[51] = "decrypt_error",
	[70] = "protocol_version",
	[71] = "insufficient_security",
	[80] = "internal_error",
	[86] = "inappropriate_fallback",
	[90] = "user_canceled",
	[109] = "missing_extension",
	[110] = "unsupported_extension",
	[112] = "unrecognized_name",
	[113] = "bad_certificate_status_response",
	[115] = "unknown_psk_identity",
	[116] = "certificate_required",
	[120] = "no_application_protocol",
};

const char *qb_quic_error_format(uint64_t code, char text[QB_ERROR_TEXT_LEN])
{
	uint64_t alert = code - QB_QUIC_CRYPTO_ERROR;
	const char *name = qb_quic_error_name(code);

	if (alert < QB_ARRAY_LEN(alerts) && alerts[alert])
		snprintf(text, QB_ERROR_TEXT_LEN, "%s (0x%" PRIx64 ", %s)", name, code, alerts[alert]);
	else
		snprintf(text, QB_ERROR_TEXT_LEN, "%s (0x%" PRIx64 ")", name, code);
	return text;
}
