/** Milliseconds: `const stallTimeoutMs = 1.5 * second`. */
export const millisecond = 1
export const second = 1000 * millisecond
export const minute = 60 * second
export const hour = 60 * minute

/** Bytes: `const frameSizeBytes = 64 * KiB`. */
export const KiB = 1024
export const MiB = 1024 * KiB
export const GiB = 1024 * MiB
