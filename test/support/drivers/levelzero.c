/*
 * Level Zero's system management with GPUs of a test's making: the functions of zes_api.h that are used, and its structures.
 *
 * Two cards, both of two stacks; the memory of stack s of card c is 64 GiB, of which 1 + 2 c + s GiB are used. Each card has
 * a module in the system's memory beside them, which is no memory of the device.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef int ze_result_t;
typedef uint8_t ze_bool_t;
typedef struct { uint8_t id[16]; } ze_device_uuid_t;

typedef struct {
  int stype;
  void *pNext;
  int type;
  uint32_t vendorId, deviceId, flags, subdeviceId, coreClockRate;
  uint64_t maxMemAllocSize;
  uint32_t maxHardwareContexts, maxCommandQueuePriority, numThreadsPerEU, physicalEUSimdWidth;
  uint32_t numEUsPerSubslice, numSubslicesPerSlice, numSlices;
  uint64_t timerResolution;
  uint32_t timestampValidBits, kernelTimestampValidBits;
  ze_device_uuid_t uuid;
  char name[256];
} ze_device_properties_t;

typedef struct {
  int stype;
  void *pNext;
  ze_device_properties_t core;
  uint32_t numSubdevices;
  char serialNumber[64], boardNumber[64], brandName[64], modelName[64], vendorName[64], driverVersion[64];
} zes_device_properties_t;

typedef struct {
  int stype;
  void *pNext;
  int type;
  ze_bool_t onSubdevice;
  uint32_t subdeviceId;
  int location;
  uint64_t physicalSize;
  int32_t busWidth, numChannels;
} zes_mem_properties_t;

typedef struct {
  int stype;
  const void *pNext;
  int health;
  uint64_t free, size;
} zes_mem_state_t;

static const ze_result_t BAD = 0x78000004;

ze_result_t zesInit(uint32_t flags) { return flags == 0 ? 0 : BAD; }

static ze_result_t list(uint32_t *count, void **into, uint32_t n, size_t first) {
  if (!into) {
    *count = n;
    return 0;
  }
  for (uint32_t i = 0; i < n && i < *count; i++) into[i] = (void *)(first + i);
  return 0;
}

ze_result_t zesDriverGet(uint32_t *count, void **drivers) { return list(count, drivers, 1, 1000); }

ze_result_t zesDeviceGet(void *driver, uint32_t *count, void **devices) {
  return driver == (void *)1000 ? list(count, devices, 2, 100) : BAD;
}

ze_result_t zesDeviceGetProperties(void *device, zes_device_properties_t *properties) {
  if (properties->stype != 0x1) return BAD;
  snprintf(properties->core.name, 256, "Intel(R) Data Center GPU Max 1550");
  properties->core.numEUsPerSubslice = 8;
  properties->core.numSubslicesPerSlice = 56;
  properties->core.numSlices = 2;
  properties->numSubdevices = 2;
  memset(properties->driverVersion, 'x', 64);
  return 0;
}

/* Modules of card c: 10 + 4 c in the system, then those of its stacks. */
ze_result_t zesDeviceEnumMemoryModules(void *device, uint32_t *count, void **modules) {
  return list(count, modules, 3, 10 + 4 * ((size_t)device - 100));
}

ze_result_t zesMemoryGetProperties(void *module, zes_mem_properties_t *properties) {
  size_t n = ((size_t)module - 10) % 4;
  if (properties->stype != 0xb) return BAD;
  properties->onSubdevice = n > 0;
  properties->subdeviceId = n > 0 ? (uint32_t)n - 1 : 0;
  properties->location = n > 0;
  properties->busWidth = properties->numChannels = -1;
  return 0;
}

ze_result_t zesMemoryGetState(void *module, zes_mem_state_t *state) {
  size_t card = ((size_t)module - 10) / 4, stack = ((size_t)module - 10) % 4 - 1;
  if (state->stype != 0x1e) return BAD;
  state->health = 1;
  state->size = 64ull << 30;
  state->free = state->size - ((1ull + 2 * card + stack) << 30);
  return 0;
}
