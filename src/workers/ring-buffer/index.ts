export { createRing, type RingOptions } from './layout.js';
export { type RingReader, type RingReaderOptions, type RingReaderStats, ringReader } from './reader.js';
export { type RingWriter, type RingWriterOptions, type RingWriterStats, ringWriter } from './writer.js';
