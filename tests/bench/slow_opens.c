/* slow_opens MOUNTPOINT [OPTIONS OF FUSE]: shows the directory $SOURCE there, read-only, and takes $DELAY_US microseconds for each open
 * of a file or a directory, as a loaded file server does. What is read stays in the kernel's cache; attributes and names stay three
 * seconds, as with NFS, and names that are not there are asked for each time, at once. tests/bench/nodes.py compiles it. */
#define FUSE_USE_VERSION 31
#define _GNU_SOURCE
#include <fuse3/fuse.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static char source[PATH_MAX];
static struct timespec delay;

/* The path of the source behind one of the mount's. */
#define BEHIND(path) char behind[2 * PATH_MAX]; snprintf(behind, sizeof behind, "%s%s", source, path)

static int outcome(long result) { return result < 0 ? -errno : 0; }

static int get_attributes(const char *path, struct stat *found, struct fuse_file_info *file) {
  (void)file;
  BEHIND(path);
  return outcome(lstat(behind, found));
}

static int read_link(const char *path, char *target, size_t size) {
  BEHIND(path);
  ssize_t length = readlink(behind, target, size - 1);
  if (length >= 0) target[length] = 0;
  return outcome(length);
}

static int check_access(const char *path, int mode) {
  BEHIND(path);
  return outcome(access(behind, mode));
}

static int open_file(const char *path, struct fuse_file_info *file) {
  BEHIND(path);
  nanosleep(&delay, NULL);
  int descriptor = open(behind, O_RDONLY);
  file->fh = descriptor;
  file->keep_cache = 1;
  return outcome(descriptor);
}

static int read_file(const char *path, char *bytes, size_t size, off_t offset, struct fuse_file_info *file) {
  (void)path;
  ssize_t length = pread(file->fh, bytes, size, offset);
  return length < 0 ? -errno : (int)length;
}

static int close_file(const char *path, struct fuse_file_info *file) {
  (void)path;
  return outcome(close(file->fh));
}

static int read_directory(const char *path, void *entries, fuse_fill_dir_t add, off_t offset, struct fuse_file_info *file,
                          enum fuse_readdir_flags flags) {
  (void)offset, (void)file, (void)flags;
  BEHIND(path);
  nanosleep(&delay, NULL);
  DIR *directory = opendir(behind);
  if (!directory) return -errno;
  for (struct dirent *entry; (entry = readdir(directory));) add(entries, entry->d_name, NULL, 0, 0);
  return outcome(closedir(directory));
}

static void *begin(struct fuse_conn_info *connection, struct fuse_config *config) {
  (void)connection;
  config->attr_timeout = config->entry_timeout = 3;
  return NULL;
}

static const struct fuse_operations operations = {
    .getattr = get_attributes, .readlink = read_link, .access = check_access, .open = open_file, .read = read_file,
    .release = close_file, .readdir = read_directory, .init = begin,
};

int main(int count, char **arguments) {
  const char *directory = getenv("SOURCE"), *microseconds = getenv("DELAY_US");
  if (!directory || !microseconds || !realpath(directory, source)) {
    fputs("SOURCE and DELAY_US\n", stderr);
    return 2;
  }
  long delay_us = atol(microseconds);
  delay.tv_sec = delay_us / 1000000;
  delay.tv_nsec = delay_us % 1000000 * 1000;
  return fuse_main(count, arguments, &operations, NULL);
}
