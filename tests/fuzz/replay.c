/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs a fuzz target over its corpus without a fuzzer: every file of tests/fuzz/corpus/NAME, and each of them again with every
 * byte flipped and at every shorter length (bounded). Part of `make check`.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { FILE_MAX = 65536, VARIANTS_MAX = 512 };

/* run gives the target a copy of exactly len bytes, so that a sanitizer sees a read past the end. */
static void run(const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);

	if (!copy)
		abort();
	memcpy(copy, data, len);
	LLVMFuzzerTestOneInput(copy, len);
	free(copy);
}

static void run_variants(uint8_t *data, size_t len)
{
	size_t step = len / VARIANTS_MAX + 1;

	run(data, len);
	for (size_t i = 0; i < len; i += step) {
		run(data, i);
		data[i] ^= (uint8_t)(1u << (i % 8));
		run(data, len);
		data[i] ^= (uint8_t)(1u << (i % 8));
	}
}

int main(int argc, char **argv)
{
	static uint8_t data[FILE_MAX];
	char folder[512], path[1024];
	const char *name = strstr(argv[0], "replay_");
	struct dirent *entry;
	unsigned int cnt = 0;
	DIR *dir;

	if (!name)
		return 2;
	snprintf(folder, sizeof(folder), "%s", argc > 1 ? argv[1] : "");
	if (argc < 2)
		snprintf(folder, sizeof(folder), "tests/fuzz/corpus/%s", name + strlen("replay_"));
	dir = opendir(folder);
	if (!dir) {
		printf("there is no corpus %s\n", folder);
		return 1;
	}
	while ((entry = readdir(dir))) {
		FILE *file;
		size_t len;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		file = fopen(path, "rb");
		if (!file)
			continue;
		len = fread(data, 1, sizeof(data), file);
		fclose(file);
		run_variants(data, len);
		cnt++;
	}
	closedir(dir);
	printf("%u inputs of %s and their variants\n", cnt, folder);
	return cnt ? 0 : 1;
}
