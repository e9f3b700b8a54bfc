/* SPDX-License-Identifier: BSD-2-Clause */
/* What the CPU has for cryptography, as the TLS library finds it, too; told by `quicbondctl
 * doctor`. */
#include "os/os.h"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>

/* Leaf, register (0 to 3: eax to edx), bit: Intel SDM, CPUID. */
static const struct {
	const char *name;
	uint32_t leaf, reg, bit;
} features[] = {
	{"AES-NI", 1, 2, 25},  {"PCLMULQDQ", 1, 2, 1}, {"AVX", 1, 2, 28}, {"AVX2", 7, 1, 5},
	{"AVX-512", 7, 1, 16}, {"SHA-NI", 7, 1, 29},   {"VAES", 7, 2, 9}, {"VPCLMULQDQ", 7, 2, 10},
};

uint32_t qb_cpu_crypto(const char *out[QB_CPU_CRYPTO_MAX])
{
	uint32_t reg[4], cnt = 0;

	for (size_t i = 0; i < QB_ARRAY_LEN(features); i++)
		if (__get_cpuid_count(features[i].leaf, 0, &reg[0], &reg[1], &reg[2], &reg[3]) &&
		    (reg[features[i].reg] >> features[i].bit & 1))
			out[cnt++] = features[i].name;
	return cnt;
}

#elif defined(__aarch64__) || defined(__arm__)
#include <sys/auxv.h>

#ifdef __aarch64__
#define CRYPTO_HWCAP AT_HWCAP
enum { BIT_AES = 3, BIT_PMULL = 4, BIT_SHA1 = 5, BIT_SHA2 = 6 };
#else
#define CRYPTO_HWCAP AT_HWCAP2
enum { BIT_AES = 0, BIT_PMULL = 1, BIT_SHA1 = 2, BIT_SHA2 = 3 };
#endif

uint32_t qb_cpu_crypto(const char *out[QB_CPU_CRYPTO_MAX])
{
	static const struct {
		const char *name;
		uint32_t bit;
	} features[] = {
		{"AES", BIT_AES}, {"PMULL", BIT_PMULL}, {"SHA1", BIT_SHA1}, {"SHA2", BIT_SHA2}};
	unsigned long caps = getauxval(CRYPTO_HWCAP);
	uint32_t cnt = 0;

	for (size_t i = 0; i < QB_ARRAY_LEN(features); i++)
		if (caps >> features[i].bit & 1)
			out[cnt++] = features[i].name;
	return cnt;
}

#else
uint32_t qb_cpu_crypto(const char *out[QB_CPU_CRYPTO_MAX])
{
	(void)out;
	return 0;
}
#endif
