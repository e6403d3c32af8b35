/* See LICENSE for copyright and license details. */
#include <stdio.h>
#include <string.h>

#include "route.h"

/* The normal form of each path on standard input, as hexadecimal digits, or the
   status of the answer, one line each. */

int
main(void)
{
	char line[4096], out[4096];
	size_t i, n;
	int status;

	while (fgets(line, sizeof(line), stdin) != NULL) {
		status = route_normalize(line, strcspn(line, "\n"), out,
		    sizeof(out), &n);
		if (status != 0)
			printf("%d", status);
		for (i = 0; status == 0 && i < n; i++)
			printf("%02x", (unsigned char)out[i]);
		putchar('\n');
	}
	return 0;
}
