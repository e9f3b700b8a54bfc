/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Certificates as mere envelopes of Ed25519 keys. Ours is made from the key when a context is made;
 * of the peer's only the public key matters, for that is what the list of peers names, and TLS's
 * CertificateVerify proves that the peer holds it. Its names, dates and signature mean nothing to
 * us and are not looked at.
 */
#include "tls/internal.h"

#include <errno.h>
#include <stdio.h>

#include <openssl/asn1.h>
#include <openssl/bytestring.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/pool.h>
#include <openssl/x509.h>

/* RFC 5280 §4.1.2.5: the second is "no well-defined expiration date". */
static const char not_before[] = "20200101000000Z";
static const char not_after[] = "99991231235959Z";

enum { COMMON_NAME_MAX = 64 };

static bool set_subject(X509 *x, const char *name)
{
	X509_NAME *n = X509_get_subject_name(x);

	return X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_UTF8, (const uint8_t *)name, -1, -1,
					  0) &&
	       X509_set_issuer_name(x, n);
}

static CRYPTO_BUFFER *to_buffer(X509 *x)
{
	uint8_t *der = NULL;
	int len = i2d_X509(x, &der);
	CRYPTO_BUFFER *buf = len > 0 ? CRYPTO_BUFFER_new(der, (size_t)len, NULL) : NULL;

	OPENSSL_free(der);
	return buf;
}

CRYPTO_BUFFER *qb_tls_cert_build(EVP_PKEY *key, const char *name, char err[QB_TLS_ERR_LEN])
{
	CRYPTO_BUFFER *buf = NULL;
	X509 *x = NULL;

	if (name[0] == '\0' || strlen(name) > COMMON_NAME_MAX) {
		snprintf(err, QB_TLS_ERR_LEN, "the name must have 1 to %d bytes", COMMON_NAME_MAX);
		return NULL;
	}
	x = X509_new();
	if (x && X509_set_version(x, X509_VERSION_3) &&
	    ASN1_INTEGER_set(X509_get_serialNumber(x), 1) && set_subject(x, name) &&
	    ASN1_TIME_set_string(X509_getm_notBefore(x), not_before) &&
	    ASN1_TIME_set_string(X509_getm_notAfter(x), not_after) && X509_set_pubkey(x, key) &&
	    X509_sign(x, key, NULL) > 0)
		buf = to_buffer(x);
	X509_free(x);
	ERR_clear_error();
	if (!buf)
		snprintf(err, QB_TLS_ERR_LEN, "no certificate can be made for the name \"%s\"",
			 name);
	return buf;
}

/*
 * The walk of RFC 5280 §4.1 that BoringSSL itself does to find the key for CertificateVerify: were
 * ours another one, the key that is compared might not be the key that signed.
 */
int qb_tls_cert_key(const uint8_t *der, size_t len, uint8_t pub[QB_PUBKEY_LEN])
{
	const unsigned int version_tag = CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 0;
	CBS in, cert, tbs;
	EVP_PKEY *key;
	size_t pub_len = QB_PUBKEY_LEN;
	int ret = -EBADMSG;

	CBS_init(&in, der, len);
	if (!CBS_get_asn1(&in, &cert, CBS_ASN1_SEQUENCE) || CBS_len(&in) != 0 ||
	    !CBS_get_asn1(&cert, &tbs, CBS_ASN1_SEQUENCE) ||
	    !CBS_get_optional_asn1(&tbs, NULL, NULL, version_tag) ||
	    !CBS_get_asn1(&tbs, NULL, CBS_ASN1_INTEGER) ||  /* serialNumber */
	    !CBS_get_asn1(&tbs, NULL, CBS_ASN1_SEQUENCE) || /* signature */
	    !CBS_get_asn1(&tbs, NULL, CBS_ASN1_SEQUENCE) || /* issuer */
	    !CBS_get_asn1(&tbs, NULL, CBS_ASN1_SEQUENCE) || /* validity */
	    !CBS_get_asn1(&tbs, NULL, CBS_ASN1_SEQUENCE))   /* subject */
		return -EBADMSG;
	key = EVP_parse_public_key(&tbs);
	if (key && EVP_PKEY_id(key) == EVP_PKEY_ED25519 &&
	    EVP_PKEY_get_raw_public_key(key, pub, &pub_len) && pub_len == QB_PUBKEY_LEN)
		ret = 0;
	EVP_PKEY_free(key);
	ERR_clear_error();
	return ret;
}
