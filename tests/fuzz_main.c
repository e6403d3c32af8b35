/* See LICENSE for copyright and license details. */
#include <dirent.h>
#include <sys/stat.h>

#include "fuzz.h"

/*
 * A plain main() for the fuzz targets: gives the files that are named, and all
 * files of folders that are named, to the target once, so that the corpus can
 * be run with any compiler.
 */

#define SIZE_MAX_BYTES	((size_t)1024 * 1024)

static unsigned long count;

static void
die(const char *path)
{
	perror(path);
	exit(1);
}

static void
run_file(const char *path)
{
	uint8_t *data = malloc(SIZE_MAX_BYTES), *own;
	FILE *f = fopen(path, "rb");
	size_t n;

	if (data == NULL || f == NULL)
		die(path);
	n = fread(data, 1, SIZE_MAX_BYTES, f);
	if (ferror(f))
		die(path);
	fclose(f);
	/* Of the exact size, so that reading behind it is noticed. */
	own = realloc(data, n > 0 ? n : 1);
	if (own == NULL)
		die(path);
	LLVMFuzzerTestOneInput(own, n);
	free(own);
	count++;
}

static void
run_path(const char *path)
{
	char name[4096];
	struct dirent *entry;
	struct stat st;
	DIR *dir;

	if (stat(path, &st) == -1)
		die(path);
	if (!S_ISDIR(st.st_mode)) {
		run_file(path);
		return;
	}
	dir = opendir(path);
	if (dir == NULL)
		die(path);
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		run_path(name);
	}
	closedir(dir);
}

int
main(int argc, char *argv[])
{
	int i;

	for (i = 1; i < argc; i++)
		run_path(argv[i]);
	printf("%s: %lu inputs\n", argv[0], count);
	return count > 0 ? 0 : 1;
}
