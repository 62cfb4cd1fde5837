/* crc32c.h: CRC-32C (Castagnoli; RFC 3720, appendix B.4), by the processor where it can. */
#ifndef SHMAIL_CRC32C_H
#define SHMAIL_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continues from the checksum of what stands before; 0 at the start. */
uint32_t crc32c(uint32_t before, const void *bytes, size_t length);

#endif
