/* See LICENSE for copyright and license details. */
#include "stats.h"

static struct stats stats;

static struct {
	int status;
	uint64_t n;
} answers[] = {
	{ 200, 0 }, { 400, 0 }, { 404, 0 }, { 405, 0 }, { 408, 0 },
	{ 414, 0 }, { 417, 0 }, { 431, 0 }, { 503, 0 }, { 505, 0 },
	{ 500, 0 }		/* also what is not in the list */
};

#define ANSWERS	(sizeof(answers) / sizeof(*answers))

struct stats *
stats_get(void)
{
	return &stats;
}

void
stats_answered(int status)
{
	unsigned int i = 0;

	while (i < ANSWERS - 1 && answers[i].status != status)
		i++;
	answers[i].n++;
}

int
stats_answer(unsigned int i, uint64_t *n)
{
	if (i >= ANSWERS)
		return 0;
	*n = answers[i].n;
	return answers[i].status;
}
