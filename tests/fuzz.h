/* See LICENSE for copyright and license details. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* What the fuzz targets share: their entry, and a check that ends them. */

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(cond)							\
	do {								\
		if (!(cond)) {						\
			fprintf(stderr, "%d: %s\n", __LINE__, #cond);	\
			abort();					\
		}							\
	} while (0)

#endif
