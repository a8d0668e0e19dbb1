/*
 * NVIDIA's management library with GPUs of a test's making: the functions of nvml.h that are used, over a file.
 *
 * VALUES names the file, which is read at each call. A line is a GPU: uuid;name;total;used;reserved;utilization;celsius;
 * milliwatts;milliwatts at most. "-" is what a GPU cannot tell. A first line "init N" is what nvmlInit_v2 gives, "hang" makes
 * calls wait until it is gone. Each call of a function is noted in the file VALUES.calls. OLD is a driver before 510, which
 * knows the first version of memory only.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int nvmlReturn_t;
typedef struct nvmlDevice_st *nvmlDevice_t;
typedef struct { unsigned long long total, free, used; } nvmlMemory_t;
typedef struct { unsigned int version; unsigned long long total, reserved, free, used; } nvmlMemory_v2_t;
typedef struct { unsigned int gpu, memory; } nvmlUtilization_t;

enum { OK = 0, UNINITIALIZED = 1, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, SMALL = 7 };
enum { UUID, NAME, TOTAL, USED, RESERVED, UTILIZATION, CELSIUS, MILLIWATTS, MOST, FIELDS };

static int initialized = 0;

/* As much of the stack as a library may use: a thread of a C program has 8 MiB. */
static void use_stack(void) {
  volatile char much[4 * 1024 * 1024];
  for (size_t i = 0; i < sizeof much; i += 1024) much[sizeof much - 1 - i] = 1;
}

static void note(const char *name) {
  FILE *calls = fopen(VALUES ".calls", "a");
  if (calls) {
    fprintf(calls, "%s\n", name);
    fclose(calls);
  }
}

/* The field of a GPU, by its number; its memory is the caller's. */
static int field(int gpu, int which, char *into, size_t size) {
  FILE *file;
  char line[1024];
  int found, n;
again:
  found = n = 0;
  file = fopen(VALUES, "r");
  if (!file) return 0;
  while (!found && fgets(line, sizeof line, file)) {
    char *at = line, *part = NULL;
    line[strcspn(line, "\n")] = 0;
    if (!strncmp(line, "init ", 5) || !*line) continue;
    if (!strcmp(line, "hang")) {
      fclose(file);
      usleep(5000);
      goto again;
    }
    if (n++ != gpu) continue;
    for (int i = 0; i <= which; i++) part = strsep(&at, ";");
    found = part != NULL;
    if (found && into) snprintf(into, size, "%s", part);
  }
  fclose(file);
  return found;
}

static int number(nvmlDevice_t device, int which, unsigned long long *value) {
  char text[128];
  if (!initialized) return UNINITIALIZED;
  if (!field((int)(size_t)device - 1, which, text, sizeof text)) return INVALID;
  if (!strcmp(text, "-")) return NOT_SUPPORTED;
  *value = strtoull(text, NULL, 10);
  return OK;
}

static int small(nvmlDevice_t device, int which, unsigned int *value) {
  unsigned long long wide;
  int status = number(device, which, &wide);
  if (status == OK) *value = (unsigned int)wide;
  return status;
}

static int text(nvmlDevice_t device, int which, char *into, unsigned int size) {
  char found[256];
  if (!initialized) return UNINITIALIZED;
  if (!field((int)(size_t)device - 1, which, found, sizeof found)) return INVALID;
  if (strlen(found) >= size) return SMALL;
  strcpy(into, found);
  return OK;
}

nvmlReturn_t nvmlInit_v2(void) {
  FILE *file = fopen(VALUES, "r");
  int status = OK;
  note(__func__);
  use_stack();
  if (file) {
    if (fscanf(file, "init %d", &status) != 1) status = OK;
    fclose(file);
  }
  initialized = status == OK;
  return status;
}

/* What NVIDIA's own Python bindings start with. */
nvmlReturn_t nvmlInitWithFlags(unsigned int flags) { return flags == 0 ? nvmlInit_v2() : INVALID; }

nvmlReturn_t nvmlSystemGetDriverVersion(char *into, unsigned int size) {
  snprintf(into, size, "550.54.15");
  return OK;
}

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *count) {
  note(__func__);
  if (!initialized) return UNINITIALIZED;
  for (*count = 0; field((int)*count, UUID, NULL, 0); (*count)++) {}
  return OK;
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device) {
  note(__func__);
  if (!field((int)index, UUID, NULL, 0)) return INVALID;
  *device = (nvmlDevice_t)(size_t)(index + 1);
  return OK;
}

nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *device) {
  char found[256];
  note(__func__);
  for (int i = 0; field(i, UUID, found, sizeof found); i++) {
    if (strcmp(found, uuid)) continue;
    *device = (nvmlDevice_t)(size_t)(i + 1);
    return OK;
  }
  return NOT_FOUND;
}

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char *into, unsigned int size) {
  return text(device, NAME, into, size);
}

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *into, unsigned int size) {
  return text(device, UUID, into, size);
}

nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory) {
  unsigned long long total, used, reserved = 0;
  note(__func__);
  int status = number(device, TOTAL, &total);
  if (status == OK) status = number(device, USED, &used);
  if (status == OK) number(device, RESERVED, &reserved);
  if (status == OK) *memory = (nvmlMemory_t){total, total - used - reserved, used + reserved};
  return status;
}

#ifndef OLD
nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t *memory) {
  unsigned long long total, used, reserved = 0;
  note(__func__);
  if (memory->version != (sizeof(nvmlMemory_v2_t) | 2 << 24)) return 25;
  int status = number(device, TOTAL, &total);
  if (status == OK) status = number(device, USED, &used);
  if (status == OK) number(device, RESERVED, &reserved);
  if (status != OK) return status;
  memory->total = total;
  memory->used = used;
  memory->reserved = reserved;
  memory->free = total - used - reserved;
  return OK;
}
#endif

nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *rates) {
  rates->memory = 77;
  return small(device, UTILIZATION, &rates->gpu);
}

nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t device, int sensor, unsigned int *celsius) {
  return sensor == 0 ? small(device, CELSIUS, celsius) : INVALID;
}

nvmlReturn_t nvmlDeviceGetPowerUsage(nvmlDevice_t device, unsigned int *milliwatts) {
  return small(device, MILLIWATTS, milliwatts);
}

nvmlReturn_t nvmlDeviceGetEnforcedPowerLimit(nvmlDevice_t device, unsigned int *milliwatts) {
  return small(device, MOST, milliwatts);
}
