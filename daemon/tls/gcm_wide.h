/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The part of gcm.c that there is once for each width of vectors: it includes this file with these
 * defined.
 *
 *     WIDE(name)  the name with a suffix            V        the vector, of LANES blocks
 *     TARGET      what the processor must have      V_...    its instructions
 *
 * Four vectors at a time make a stride; the AES of one and the GHASH of the one before, which do
 * not wait for each other, overlap in the processor.
 */
#define WFN static inline __attribute__((always_inline, target(TARGET)))

enum {
	WIDE(STRIDE) = 4,
	WIDE(VECTOR_BYTES) = 16 * LANES,
	WIDE(STRIDE_BYTES) = WIDE(STRIDE) * WIDE(VECTOR_BYTES)
};

/* A sum of products that are not reduced yet. */
struct WIDE(sum) {
	V lo, mid, hi;
};

WFN void WIDE(encrypt)(const struct qb_gcm *g, V *x, uint32_t cnt)
{
	uint32_t round = 1;
	V key = V_SPREAD(load(g->round_key[0]));

#pragma GCC unroll 4
	for (uint32_t i = 0; i < cnt; i++)
		x[i] = V_XOR(x[i], key);
#pragma GCC unroll 9
	for (; round < ROUNDS_SHORT; round++) {
		key = V_SPREAD(load(g->round_key[round]));
#pragma GCC unroll 4
		for (uint32_t i = 0; i < cnt; i++)
			x[i] = V_AESENC(x[i], key);
	}
	for (; g->is_long && round < ROUNDS_LONG; round++) {
		key = V_SPREAD(load(g->round_key[round]));
#pragma GCC unroll 4
		for (uint32_t i = 0; i < cnt; i++)
			x[i] = V_AESENC(x[i], key);
	}
	key = V_SPREAD(load(g->round_key[round]));
#pragma GCC unroll 4
	for (uint32_t i = 0; i < cnt; i++)
		x[i] = V_AESLAST(x[i], key);
}

WFN void WIDE(add_product)(struct WIDE(sum) * s, V blocks, const uint8_t *power)
{
	V h = V_LOAD(power);

	s->lo = V_XOR(s->lo, V_CLMUL(blocks, h, 0x00));
	s->mid = V_XOR(s->mid, V_XOR(V_CLMUL(blocks, h, 0x01), V_CLMUL(blocks, h, 0x10)));
	s->hi = V_XOR(s->hi, V_CLMUL(blocks, h, 0x11));
}

WFN __m128i WIDE(settle)(const struct WIDE(sum) * s)
{
	return reduce(V_FOLD(s->lo), V_FOLD(s->mid), V_FOLD(s->hi));
}

/* cipher_stride leaves the ciphertext in `cipher`, for hash_stride. */
WFN void WIDE(cipher_stride)(const struct qb_gcm *g, V *counter, uint8_t *data, V *cipher,
			     bool is_open)
{
	const V swap = V_SPREAD(byte_swap());
	V x[WIDE(STRIDE)];

#pragma GCC unroll 4
	for (uint32_t i = 0; i < WIDE(STRIDE); i++) {
		x[i] = V_SHUFFLE(*counter, swap);
		*counter = V_ADD32(*counter, V_SPREAD(_mm_set_epi32(0, 0, 0, LANES)));
	}
	WIDE(encrypt)(g, x, WIDE(STRIDE));
#pragma GCC unroll 4
	for (uint32_t i = 0; i < WIDE(STRIDE); i++) {
		V in = V_LOAD(data + i * WIDE(VECTOR_BYTES)), out = V_XOR(x[i], in);

		V_STORE(data + i * WIDE(VECTOR_BYTES), out);
		cipher[i] = V_SHUFFLE(is_open ? in : out, swap);
	}
}

WFN __m128i WIDE(hash_stride)(const struct qb_gcm *g, __m128i hash, V *cipher)
{
	struct WIDE(sum) s = {V_ZERO(), V_ZERO(), V_ZERO()};

	cipher[0] = V_XOR(cipher[0], V_FIRST(hash));
	/* Last what had to wait for the stride before. */
#pragma GCC unroll 4
	for (uint32_t i = WIDE(STRIDE); i-- > 0;)
		WIDE(add_product)
		(&s, cipher[i], g->power[QB_GCM_POWERS - WIDE(STRIDE) * LANES + i * LANES]);
	return WIDE(settle)(&s);
}

/* crypt_rest: less than a stride, and the block of lengths behind it. */
WFN __m128i WIDE(crypt_rest)(const struct qb_gcm *g, V counter, __m128i hash, uint8_t *data,
			     size_t len, __m128i lengths, bool is_open)
{
	const V swap = V_SPREAD(byte_swap());
	const uint8_t *power = g->power[QB_GCM_POWERS - 1 - (len + 15) / 16];
	struct WIDE(sum) s = {V_ZERO(), V_ZERO(), V_ZERO()};
	V first = V_FIRST(hash), x, in;

	for (; len; power += WIDE(VECTOR_BYTES)) {
		size_t n = QB_MIN(len, (size_t)WIDE(VECTOR_BYTES));

		x = V_SHUFFLE(counter, swap);
		WIDE(encrypt)(g, &x, 1);
		if (n == WIDE(VECTOR_BYTES)) {
			in = V_LOAD(data);
			x = V_XOR(x, in);
			V_STORE(data, x);
		} else {
			in = V_LOAD_PART(data, n);
			x = V_CUT(V_XOR(x, in), n);
			V_STORE_PART(data, n, x);
		}
		WIDE(add_product)(&s, V_XOR(V_SHUFFLE(is_open ? in : x, swap), first), power);
		first = V_ZERO();
		counter = V_ADD32(counter, V_SPREAD(_mm_set_epi32(0, 0, 0, LANES)));
		data += n;
		len -= n;
	}
	WIDE(add_product)(&s, V_XOR(V_FIRST(lengths), first), g->power[QB_GCM_POWERS - 1]);
	return WIDE(settle)(&s);
}

WFN void WIDE(crypt)(const struct qb_gcm *g, const uint8_t nonce[12], const uint8_t *ad,
		     size_t ad_len, uint8_t *data, size_t len, uint8_t tag[16], bool is_open)
{
	const __m128i lengths = _mm_set_epi64x((int64_t)(8 * ad_len), (int64_t)(8 * len));
	__m128i hash = hash_ad(g, ad, ad_len), begin = counter_block(nonce);
	V counter = V_ADD32(V_SPREAD(begin), V_STEPS()),
	  mask = V_SPREAD(_mm_shuffle_epi8(begin, byte_swap()));
	V waiting[WIDE(STRIDE)], next[WIDE(STRIDE)];

	WIDE(encrypt)(g, &mask, 1);
	if (len >= WIDE(STRIDE_BYTES)) {
		WIDE(cipher_stride)(g, &counter, data, waiting, is_open);
		for (;;) {
			data += WIDE(STRIDE_BYTES);
			len -= WIDE(STRIDE_BYTES);
			if (len < WIDE(STRIDE_BYTES))
				break;
			WIDE(cipher_stride)(g, &counter, data, next, is_open);
			hash = WIDE(hash_stride)(g, hash, waiting);
			memcpy(waiting, next, sizeof(waiting));
		}
		hash = WIDE(hash_stride)(g, hash, waiting);
	}
	hash = WIDE(crypt_rest)(g, counter, hash, data, len, lengths, is_open);
	_mm_storeu_si128((__m128i *)(void *)tag,
			 _mm_xor_si128(_mm_shuffle_epi8(hash, byte_swap()), V_LOWEST(mask)));
}

static __attribute__((target(TARGET))) void WIDE(seal)(const struct qb_gcm *g,
						       const uint8_t nonce[12], const uint8_t *ad,
						       size_t ad_len, uint8_t *data, size_t len,
						       uint8_t tag[16])
{
	WIDE(crypt)(g, nonce, ad, ad_len, data, len, tag, false);
}

static __attribute__((target(TARGET))) void WIDE(open)(const struct qb_gcm *g,
						       const uint8_t nonce[12], const uint8_t *ad,
						       size_t ad_len, uint8_t *data, size_t len,
						       uint8_t tag[16])
{
	WIDE(crypt)(g, nonce, ad, ad_len, data, len, tag, true);
}

#undef WFN
