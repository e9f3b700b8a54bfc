/* SPDX-License-Identifier: BSD-2-Clause */
/* QPACK and its Huffman code: the vectors of RFC 7541 C.4 and C.6, RFC 9204 B, and what must be
 * refused. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "h3/huffman.h"
#include "h3/qpack.h"
#include "tests/unit/unhex.h"

/* ---- Huffman ---- */

static const struct {
	const char *hex, *text;
} huffman_rows[] = {
	{"f1e3c2e5f23a6ba0ab90f4ff", "www.example.com"},
	{"a8eb10649cbf", "no-cache"},
	{"25a849e95ba97d7f", "custom-key"},
	{"25a849e95bb8e8b4bf", "custom-value"},
	{"6402", "302"},
	{"640eff", "307"},
	{"aec3771a4b", "private"},
	{"d07abe941054d444a8200595040b8166e082a62d1bff", "Mon, 21 Oct 2013 20:13:21 GMT"},
	{"9d29ad171863c78f0b97c8e9ae82ae43d3", "https://www.example.com"},
	{"9bd9ab", "gzip"},
	{"94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d500"
	 "7",
	 "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"},
	{"", ""},
};

START_TEST(huffman_vectors)
{
	uint8_t in[128], out[128];
	size_t len = unhex(huffman_rows[_i].hex, in);
	size_t text_len = strlen(huffman_rows[_i].text);

	ck_assert_int_eq(qb_huffman_decode(in, len, out, sizeof(out)), (int)text_len);
	ck_assert_mem_eq(out, huffman_rows[_i].text, text_len);
	ck_assert_int_eq(qb_huffman_decode(in, len, out, text_len), (int)text_len);
	if (text_len > 0)
		ck_assert_int_eq(qb_huffman_decode(in, len, out, text_len - 1), -E2BIG);
}
END_TEST

/* clang-format off */
/* RFC 7541 Appendix B, column "len in bits"; EOS is the last. */
static const uint8_t code_bits[257] = {
	13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28,
	28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11,
	10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8,
	15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
	7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5,
	6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7,
	7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23,
	23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
	22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21,
	23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25,
	26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26,
	28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
	26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
};
/* clang-format on */

/* The codes follow from their lengths: by length, then by symbol, each one more than the one
 * before. */
static void make_codes(uint32_t code[257])
{
	uint32_t next = 0;

	for (uint8_t bits = 1; bits <= 30; bits++) {
		for (int s = 0; s < 257; s++) {
			if (code_bits[s] == bits)
				code[s] = next++;
		}
		next <<= 1;
	}
}

static size_t encode(const uint32_t code[257], const uint16_t *symbols, size_t cnt, uint8_t *out)
{
	size_t bit = 0;

	memset(out, 0xff, 16);
	for (size_t i = 0; i < cnt; i++) {
		for (int b = code_bits[symbols[i]] - 1; b >= 0; b--, bit++) {
			if (!(code[symbols[i]] >> b & 1))
				out[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
		}
	}
	return (bit + 7) / 8;
}

START_TEST(huffman_all_symbols)
{
	uint32_t code[257];
	uint8_t in[16], out[16];

	make_codes(code);
	ck_assert_uint_eq(code[256], 0x3fffffff);
	ck_assert_uint_eq(code['a'], 0x3);
	ck_assert_uint_eq(code[0], 0x1ff8);
	for (uint16_t s = 0; s < 256; s++) {
		uint16_t pair[2] = {s, (uint16_t)(255 - s)};

		ck_assert_int_eq(qb_huffman_decode(in, encode(code, pair, 2, in), out, sizeof(out)),
				 2);
		ck_assert_uint_eq(out[0], s);
		ck_assert_uint_eq(out[1], 255 - s);
	}
}
END_TEST

START_TEST(huffman_errors)
{
	static const char *const rows[] = {
		"ff",	    /* eight bits of padding */
		"1fff",	    /* 'a' (00011), then eleven */
		"18",	    /* 'a', padding of zeros */
		"1e",	    /* 'a', padding not of ones alone */
		"fffffffc", /* EOS */
		"ffffffff", /* EOS, and its own padding */
	};
	uint8_t in[16], out[16];

	for (size_t i = 0; i < QB_ARRAY_LEN(rows); i++)
		ck_assert_int_eq(qb_huffman_decode(in, unhex(rows[i], in), out, sizeof(out)),
				 -EBADMSG);
	ck_assert_int_eq(qb_huffman_decode(in, unhex("1f", in), out, sizeof(out)), 1);
}
END_TEST

/* ---- sections ---- */

static struct qb_qpack_reader reader;

static int read_section(const uint8_t *p, size_t len, char *text, size_t cap)
{
	struct qb_qpack_field f;
	size_t n = 0;
	int ret = qb_qpack_reader_init(&reader, p, len);

	text[0] = 0;
	while (ret >= 0 && (ret = qb_qpack_next(&reader, &f)) == 1) {
		n += (size_t)snprintf(text + n, cap - n, "%.*s=%.*s\n", (int)f.name_len, f.name,
				      (int)f.value_len, f.value);
		ck_assert_uint_lt(n, cap);
	}
	return ret;
}

static const struct {
	const char *hex;
	int ret;
	const char *text;
} section_rows[] = {
	/* RFC 9204 B.1 */
	{"0000 510b 2f69 6e64 6578 2e68 746d 6c", 0, ":path=/index.html\n"},
	{"0000", 0, ""},
	{"0005", 0, ""}, /* any positive base will do when nothing refers to it */
	{"0000 cf d1 d7 d9", 0, ":method=CONNECT\n:method=GET\n:scheme=https\n:status=200\n"},
	{"0000 c0 ff00 ff23", 0, ":authority=\n:status=100\nx-frame-options=sameorigin\n"},
	{"0000 5f 09 00", 0, ":status=\n"},	/* index 24 in a prefix of 4 bits */
	{"0000 70 01 61", 0, ":authority=a\n"}, /* never-indexed bit */
	{"0000 23 616263 01 78", 0, "abc=x\n"},
	/* literal with literal name, both in Huffman code: custom-key: custom-value */
	{"0000 2f01 25a849e95ba97d7f 89 25a849e95bb8e8b4bf", 0, "custom-key=custom-value\n"},
	{"0000 50 8c f1e3c2e5f23a6ba0ab90f4ff", 0, ":authority=www.example.com\n"},
	/* too short */
	{"", -EBADMSG, ""},
	{"00", -EBADMSG, ""},
	{"0000 51", -EBADMSG, ""},
	{"0000 510b 2f", -EBADMSG, ""},
	{"0000 23 6162", -EBADMSG, ""},
	{"0000 ff", -EBADMSG, ""},
	{"00ff", -EBADMSG, ""},
	/* a dynamic table: RFC 9204 B.2, a negative base, relative and post-base references */
	{"0381 10 11", -EBADMSG, ""},
	{"0081", -EBADMSG, ""},
	{"0000 80", -EBADMSG, ""},
	{"0000 10", -EBADMSG, ""},
	{"0000 40 01 61", -EBADMSG, ""},
	{"0000 00 01 61", -EBADMSG, ""},
	/* past the static table */
	{"0000 ff24", -EBADMSG, ""},
	{"0000 5f 54 00", -EBADMSG, ""},
	/* integers past 62 bits, or without end */
	{"0000 ffffffffffffffffff7f", -EBADMSG, ""},
	{"0000 ff808080808080808080808080", -EBADMSG, ""},
	{"0000 50 7fffffffffffffffff3f", -EBADMSG, ""},
	/* Huffman code with wrong padding */
	{"0000 50 81 18", -EBADMSG, ""},
};

START_TEST(section_vectors)
{
	uint8_t in[128];
	char text[256];
	size_t len = unhex(section_rows[_i].hex, in);

	ck_assert_int_eq(read_section(in, len, text, sizeof(text)), section_rows[_i].ret);
	ck_assert_str_eq(text, section_rows[_i].text);
}
END_TEST

START_TEST(section_size_limit)
{
	uint8_t in[3 + 128] = {0, 0};
	char text[8192];
	size_t len;

	/* ":authority" and its overhead have 42 bytes: 97 of them fit into 4096, 98 do not */
	memset(in + 2, 0xc0, 98);
	ck_assert_int_eq(read_section(in, 2 + 97, text, sizeof(text)), 0);
	ck_assert_int_eq(read_section(in, 2 + 98, text, sizeof(text)), -E2BIG);
	/* a Huffman string that unfolds past the limit: 5 bits a character */
	{
		static uint8_t big[4096];
		struct qb_wr w = qb_wr_init(big, sizeof(big));

		qb_wr_u8(&w, 0);
		qb_wr_u8(&w, 0);
		qb_wr_u8(&w, 0x50);
		qb_wr_u8(&w, 0xff); /* 2600 = 127 + 41 + 19 * 128 */
		qb_wr_u8(&w, 0x80 | 41);
		qb_wr_u8(&w, 19);
		len = 6 + 2600;
		ck_assert_int_eq(read_section(big, len, text, sizeof(text)), -E2BIG);
	}
}
END_TEST

START_TEST(section_round_trip)
{
	static const char *const fields[][2] = {
		{":method", "CONNECT"},
		{":protocol", "connect-ip"},
		{":scheme", "https"},
		{":authority", "hub.example:443"},
		{":status", "200"},
		{":status", "431"},
		{"capsule-protocol", "?1"},
		{"x", ""},
		{"a-name-that-is-longer", "v"},
	};
	char text[512], want[512] = "";
	uint8_t out[512];
	struct qb_wr w = qb_wr_init(out, sizeof(out));

	qb_qpack_begin(&w);
	for (size_t i = 0; i < QB_ARRAY_LEN(fields); i++) {
		qb_qpack_put(&w, fields[i][0], fields[i][1]);
		strcat(strcat(strcat(strcat(want, fields[i][0]), "="), fields[i][1]), "\n");
	}
	ck_assert(!w.bad);
	ck_assert_uint_eq(out[2], 0xcf); /* static references are used */
	ck_assert_int_eq(read_section(out, (size_t)(w.p - out), text, sizeof(text)), 0);
	ck_assert_str_eq(text, want);
}
END_TEST

START_TEST(section_writer_full)
{
	uint8_t out[8];

	for (size_t cap = 0; cap < sizeof(out); cap++) {
		struct qb_wr w = qb_wr_init(out, cap);

		qb_qpack_begin(&w);
		qb_qpack_put(&w, ":authority", "abcd");
		ck_assert_int_eq(w.bad, true);
	}
}
END_TEST

START_TEST(static_table)
{
	/* spot checks by index, and no two rows alike */
	static const struct {
		int idx;
		const char *name, *value;
	} rows[] = {
		{0, ":authority", ""},
		{1, ":path", "/"},
		{15, ":method", "CONNECT"},
		{17, ":method", "GET"},
		{20, ":method", "POST"},
		{23, ":scheme", "https"},
		{25, ":status", "200"},
		{27, ":status", "404"},
		{31, "accept-encoding", "gzip, deflate, br"},
		{58, "strict-transport-security", "max-age=31536000; includesubdomains; preload"},
		{63, ":status", "100"},
		{71, ":status", "500"},
		{85, "content-security-policy",
		 "script-src 'none'; object-src 'none'; base-uri 'none'"},
		{92, "server", ""},
		{98, "x-frame-options", "sameorigin"},
	};

	for (size_t i = 0; i < QB_ARRAY_LEN(rows); i++) {
		const struct qb_qpack_field *f = &qb_qpack_static[rows[i].idx];

		ck_assert_str_eq((const char *)f->name, rows[i].name);
		ck_assert_str_eq((const char *)f->value, rows[i].value);
		ck_assert_uint_eq(f->name_len, strlen(rows[i].name));
		ck_assert_uint_eq(f->value_len, strlen(rows[i].value));
	}
	for (int i = 0; i < QB_QPACK_STATIC_CNT; i++) {
		for (int j = 0; j < i; j++)
			ck_assert(strcmp((const char *)qb_qpack_static[i].name,
					 (const char *)qb_qpack_static[j].name) != 0 ||
				  strcmp((const char *)qb_qpack_static[i].value,
					 (const char *)qb_qpack_static[j].value) != 0);
	}
}
END_TEST

/* ---- instruction streams ---- */

static const struct {
	const char *hex;
	int encoder_ret, decoder_ret;
} stream_rows[] = {
	{"", 0, 0},
	{"20 20", 0, -EBADMSG},		    /* capacity 0 | increment by 32 */
	{"3fbd01", -EBADMSG, -EBADMSG},	    /* capacity 220 (RFC 9204 B.2) | increment */
	{"21", -EBADMSG, -EBADMSG},	    /* capacity 1 */
	{"c0 0f", -EBADMSG, -EBADMSG},	    /* insert with static name | acknowledgment */
	{"02", -EBADMSG, -EBADMSG},	    /* duplicate | increment */
	{"00", -EBADMSG, -EBADMSG},	    /* duplicate | increment by 0 */
	{"48", -EBADMSG, 0},		    /* insert with literal name | cancel stream 8 */
	{"40 7f00 7fbd01 44", -EBADMSG, 0}, /* cancellations, with longer IDs */
	{"7fffffffffffffffffff", -EBADMSG, -EBADMSG}, /* ID without end */
	{"7f808080808080808080 80", -EBADMSG, -EBADMSG},
	{"7fbd01 84", -EBADMSG, -EBADMSG}, /* then an acknowledgment (RFC 9204 B.2) */
};

START_TEST(instruction_streams)
{
	uint8_t in[32];
	size_t len = unhex(stream_rows[_i].hex, in);
	struct qb_qpack_decoder_stream s = {0}, s1 = {0};
	int ret = 0;

	ck_assert_int_eq(qb_qpack_on_encoder_bytes(in, len), stream_rows[_i].encoder_ret);
	ck_assert_int_eq(qb_qpack_on_decoder_bytes(&s, in, len), stream_rows[_i].decoder_ret);
	for (size_t i = 0; i < len && ret == 0; i++)
		ret = qb_qpack_on_decoder_bytes(&s1, in + i, 1);
	ck_assert_int_eq(ret, stream_rows[_i].decoder_ret);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("h3_qpack");
	TCase *tc = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed_cnt;

	tcase_add_loop_test(tc, huffman_vectors, 0, QB_ARRAY_LEN(huffman_rows));
	tcase_add_test(tc, huffman_all_symbols);
	tcase_add_test(tc, huffman_errors);
	tcase_add_loop_test(tc, section_vectors, 0, QB_ARRAY_LEN(section_rows));
	tcase_add_test(tc, section_size_limit);
	tcase_add_test(tc, section_round_trip);
	tcase_add_test(tc, section_writer_full);
	tcase_add_test(tc, static_table);
	tcase_add_loop_test(tc, instruction_streams, 0, QB_ARRAY_LEN(stream_rows));
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed_cnt = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed_cnt ? 1 : 0;
}
