/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AES-GCM with the vector instructions VAES and VPCLMULQDQ, with 32-byte vectors or with 64
 * (AVX-512). keys.c uses it for what the AEAD of BoringSSL does where these are missing; nothing
 * here branches on, or is indexed by, what is secret.
 *
 * GHASH: its blocks are polynomials with their bits the other way round, so a product by PCLMULQDQ
 * comes out shifted by one. The powers of H are stored multiplied by x^-1, which makes up for that:
 * reduce(stored * block) is their product, and reduce(stored * stored) is stored again. Blocks are
 * summed before they are reduced: n blocks are multiplied by H^n ... H^1.
 */
#include "tls/gcm.h"

#include <openssl/mem.h>

#include "tls/tls.h"

enum { TAG_LEN = 16 };

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

enum { ROUNDS_SHORT = 10, ROUNDS_LONG = 14 };

#define FN static inline __attribute__((always_inline, target("aes,pclmul,ssse3")))

FN __m128i load(const uint8_t p[16])
{
	return _mm_loadu_si128((const __m128i *)(const void *)p);
}

FN __m128i byte_swap(void)
{
	return _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}

/* counter_block is the first one (SP 800-38D §7.1), its bytes swapped, so that it can be counted.
 */
FN __m128i counter_block(const uint8_t nonce[12])
{
	uint8_t block[16] = {[15] = 1};

	memcpy(block, nonce, 12);
	return _mm_shuffle_epi8(load(block), byte_swap());
}

/* reduce: lo, mid and hi are the parts of a product of 256 bits, 64 bits apart; folded twice by
 * x^128 + x^127 + x^126 + x^121 + 1. */
FN __m128i reduce(__m128i lo, __m128i mid, __m128i hi)
{
	const __m128i poly = _mm_set_epi64x((int64_t)0xc200000000000000, 1);

	mid = _mm_xor_si128(mid, _mm_xor_si128(_mm_shuffle_epi32(lo, 0x4e),
					       _mm_clmulepi64_si128(poly, lo, 0x01)));
	return _mm_xor_si128(hi, _mm_xor_si128(_mm_shuffle_epi32(mid, 0x4e),
					       _mm_clmulepi64_si128(poly, mid, 0x01)));
}

FN __m128i multiply(__m128i a, __m128i b)
{
	__m128i mid =
		_mm_xor_si128(_mm_clmulepi64_si128(a, b, 0x01), _mm_clmulepi64_si128(a, b, 0x10));

	return reduce(_mm_clmulepi64_si128(a, b, 0x00), mid, _mm_clmulepi64_si128(a, b, 0x11));
}

/* divide_by_x: a shift, and what falls out comes back in by the polynomial. */
FN __m128i divide_by_x(__m128i h)
{
	const __m128i carry = _mm_set_epi64x((int64_t)0xc200000000000001, 1);
	__m128i sign = _mm_srai_epi32(_mm_shuffle_epi32(h, 0xd3), 31);

	return _mm_xor_si128(_mm_add_epi64(h, h), _mm_and_si128(sign, carry));
}

/* load_part: fewer than 16 bytes, and zeros behind them. */
FN __m128i load_part(const uint8_t *p, size_t len)
{
	uint64_t low = 0, high = 0;

	if (len > 8) {
		memcpy(&low, p, sizeof(low));
		memcpy(&high, p + len - sizeof(high), sizeof(high));
		high >>= 8 * (16 - len);
	} else {
		for (size_t i = 0; i < len; i++)
			low |= (uint64_t)p[i] << 8 * i;
	}
	return _mm_set_epi64x((int64_t)high, (int64_t)low);
}

/* hash_ad: few blocks, one after the other. */
FN __m128i hash_ad(const struct qb_gcm *g, const uint8_t *ad, size_t len)
{
	const __m128i h = load(g->power[QB_GCM_POWERS - 1]);
	__m128i hash = _mm_setzero_si128();

	for (; len >= 16; ad += 16, len -= 16)
		hash = multiply(_mm_xor_si128(hash, _mm_shuffle_epi8(load(ad), byte_swap())), h);
	if (len)
		hash = multiply(
			_mm_xor_si128(hash, _mm_shuffle_epi8(load_part(ad, len), byte_swap())), h);
	return hash;
}

/* ---- two lanes ---- */

static inline __attribute__((always_inline, target("avx2"))) __m256i load_part_2(const uint8_t *p,
										 size_t len)
{
	uint8_t tmp[32] = {0};

	memcpy(tmp, p, len);
	return _mm256_loadu_si256((const __m256i *)(const void *)tmp);
}

static inline __attribute__((always_inline, target("avx2"))) void
store_part_2(uint8_t *p, size_t len, __m256i v)
{
	uint8_t tmp[32];

	_mm256_storeu_si256((__m256i *)(void *)tmp, v);
	memcpy(p, tmp, len);
}

/* cut_2 makes zeros of what is beyond len bytes. */
static inline __attribute__((always_inline, target("avx2"))) __m256i cut_2(__m256i v, size_t len)
{
	uint8_t tmp[32] = {0};

	store_part_2(tmp, len, v);
	return load_part_2(tmp, 32);
}

#define WIDE(name)	      name##_2
#define TARGET		      "avx2,aes,pclmul,vaes,vpclmulqdq"
#define LANES		      2
#define V		      __m256i
#define V_LOAD(p)	      _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define V_STORE(p, v)	      _mm256_storeu_si256((__m256i *)(void *)(p), v)
#define V_ZERO()	      _mm256_setzero_si256()
#define V_SPREAD(x)	      _mm256_broadcastsi128_si256(x)
#define V_FIRST(x)	      _mm256_zextsi128_si256(x)
#define V_LOWEST(v)	      _mm256_castsi256_si128(v)
#define V_STEPS()	      _mm256_set_epi32(0, 0, 0, 2, 0, 0, 0, 1)
#define V_XOR(a, b)	      _mm256_xor_si256(a, b)
#define V_ADD32(a, b)	      _mm256_add_epi32(a, b)
#define V_SHUFFLE(v, by)      _mm256_shuffle_epi8(v, by)
#define V_AESENC(v, k)	      _mm256_aesenc_epi128(v, k)
#define V_AESLAST(v, k)	      _mm256_aesenclast_epi128(v, k)
#define V_CLMUL(a, b, which)  _mm256_clmulepi64_epi128(a, b, which)
#define V_LOAD_PART(p, n)     load_part_2(p, n)
#define V_STORE_PART(p, n, v) store_part_2(p, n, v)
#define V_CUT(v, n)	      cut_2(v, n)
#define V_FOLD(v)	      _mm_xor_si128(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1))
#include "tls/gcm_wide.h"
#undef WIDE
#undef TARGET
#undef LANES
#undef V
#undef V_LOAD
#undef V_STORE
#undef V_ZERO
#undef V_SPREAD
#undef V_FIRST
#undef V_LOWEST
#undef V_STEPS
#undef V_XOR
#undef V_ADD32
#undef V_SHUFFLE
#undef V_AESENC
#undef V_AESLAST
#undef V_CLMUL
#undef V_LOAD_PART
#undef V_STORE_PART
#undef V_CUT
#undef V_FOLD

/* ---- four lanes ---- */

#define TARGET_4 "avx512f,avx512bw,aes,pclmul,vaes,vpclmulqdq"

static inline __attribute__((always_inline, target(TARGET_4))) __m128i fold_4(__m512i v)
{
	__m256i half = _mm256_xor_si256(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));

	return _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

#define WIDE(name)	      name##_4
#define TARGET		      TARGET_4
#define LANES		      4
#define V		      __m512i
#define V_LOAD(p)	      _mm512_loadu_si512(p)
#define V_STORE(p, v)	      _mm512_storeu_si512(p, v)
#define V_ZERO()	      _mm512_setzero_si512()
#define V_SPREAD(x)	      _mm512_broadcast_i32x4(x)
#define V_FIRST(x)	      _mm512_zextsi128_si512(x)
#define V_LOWEST(v)	      _mm512_castsi512_si128(v)
#define V_STEPS()	      _mm512_set_epi32(0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1)
#define V_XOR(a, b)	      _mm512_xor_si512(a, b)
#define V_ADD32(a, b)	      _mm512_add_epi32(a, b)
#define V_SHUFFLE(v, by)      _mm512_shuffle_epi8(v, by)
#define V_AESENC(v, k)	      _mm512_aesenc_epi128(v, k)
#define V_AESLAST(v, k)	      _mm512_aesenclast_epi128(v, k)
#define V_CLMUL(a, b, which)  _mm512_clmulepi64_epi128(a, b, which)
#define V_LOAD_PART(p, n)     _mm512_maskz_loadu_epi8(UINT64_MAX >> (64 - (n)), p)
#define V_STORE_PART(p, n, v) _mm512_mask_storeu_epi8(p, UINT64_MAX >> (64 - (n)), v)
#define V_CUT(v, n)	      _mm512_maskz_mov_epi8(UINT64_MAX >> (64 - (n)), v)
#define V_FOLD(v)	      fold_4(v)
#include "tls/gcm_wide.h"

/* ---- keys ---- */

uint32_t qb_gcm_lanes(void)
{
	uint32_t a, b, c = 0, d;

	/* That the kernel keeps wide registers shows in the compiler's own look; of these two not
	 * all compilers know. */
	if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(c & bit_VAES) || !(c & bit_VPCLMULQDQ) ||
	    !__builtin_cpu_supports("aes") || !__builtin_cpu_supports("pclmul") ||
	    !__builtin_cpu_supports("avx2"))
		return 0;
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") ? 4 : 2;
}

/* sub_word is FIPS 197's, and what is rotated too. */
static __attribute__((target("aes"))) uint32_t sub_word(uint32_t word, bool is_rotated)
{
	__m128i x = _mm_aeskeygenassist_si128(_mm_set1_epi32((int32_t)word), 0);

	return (uint32_t)_mm_cvtsi128_si32(is_rotated ? _mm_srli_si128(x, 4) : x);
}

/* FIPS 197 §5.2; words as they lie in memory. */
static void expand_key(struct qb_gcm *g, const uint8_t *key, uint32_t key_words)
{
	uint32_t words = 4 * ((g->is_long ? ROUNDS_LONG : ROUNDS_SHORT) + 1), constant = 1, w[60];

	memcpy(w, key, 4 * key_words);
	for (uint32_t i = key_words; i < words; i++) {
		uint32_t t = w[i - 1];

		if (i % key_words == 0) {
			t = sub_word(t, true) ^ constant;
			constant = constant << 1 ^ (constant & 0x80 ? 0x11b : 0);
		} else if (g->is_long && i % key_words == 4) {
			t = sub_word(t, false);
		}
		w[i] = w[i - key_words] ^ t;
	}
	memcpy(g->round_key, w, 4 * words);
	OPENSSL_cleanse(w, sizeof(w));
}

static __attribute__((target("aes,pclmul,ssse3"))) void make_powers(struct qb_gcm *g)
{
	uint32_t rounds = g->is_long ? ROUNDS_LONG : ROUNDS_SHORT;
	__m128i h = load(g->round_key[0]), power;

	for (uint32_t i = 1; i < rounds; i++)
		h = _mm_aesenc_si128(h, load(g->round_key[i]));
	h = _mm_aesenclast_si128(h, load(g->round_key[rounds]));
	h = divide_by_x(_mm_shuffle_epi8(h, byte_swap()));
	power = h;
	for (uint32_t i = QB_GCM_POWERS; i-- > 0; power = multiply(power, h))
		_mm_storeu_si128((__m128i *)(void *)g->power[i], power);
}

void qb_gcm_init(struct qb_gcm *g, const uint8_t *key, size_t key_len, uint32_t lanes)
{
	QB_BUG_ON((key_len != 16 && key_len != 32) || (lanes != 2 && lanes != 4));
	memset(g, 0, sizeof(*g));
	g->is_long = key_len == 32;
	g->lanes = (uint8_t)lanes;
	expand_key(g, key, (uint32_t)key_len / 4);
	make_powers(g);
}

/* ---- packets ---- */

void qb_gcm_seal(const struct qb_gcm *g, const uint8_t nonce[12], const uint8_t *ad, size_t ad_len,
		 uint8_t *data, size_t len)
{
	(g->lanes == 4 ? seal_4 : seal_2)(g, nonce, ad, ad_len, data, len, data + len);
}

bool qb_gcm_open(const struct qb_gcm *g, const uint8_t nonce[12], const uint8_t *ad, size_t ad_len,
		 uint8_t *data, size_t len)
{
	uint8_t tag[TAG_LEN];

	(g->lanes == 4 ? open_4 : open_2)(g, nonce, ad, ad_len, data, len, tag);
	if (QB_LIKELY(qb_ct_eq(tag, data + len, TAG_LEN)))
		return true;
	memset(data, 0, len);
	return false;
}

#else

uint32_t qb_gcm_lanes(void)
{
	return 0;
}

void qb_gcm_init(struct qb_gcm *g, const uint8_t *key, size_t key_len, uint32_t lanes)
{
	(void)g, (void)key, (void)key_len, (void)lanes;
	QB_BUG_ON(true);
}

void qb_gcm_seal(const struct qb_gcm *g, const uint8_t nonce[12], const uint8_t *ad, size_t ad_len,
		 uint8_t *data, size_t len)
{
	(void)g, (void)nonce, (void)ad, (void)ad_len, (void)data, (void)len;
	QB_BUG_ON(true);
}

bool qb_gcm_open(const struct qb_gcm *g, const uint8_t nonce[12], const uint8_t *ad, size_t ad_len,
		 uint8_t *data, size_t len)
{
	(void)g, (void)nonce, (void)ad, (void)ad_len, (void)data, (void)len;
	QB_BUG_ON(true);
	return false;
}

#endif
