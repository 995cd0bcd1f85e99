/** `npm run build`: the `shoal` command as plain JavaScript in `dist/`, with all that it needs of npm's packages, and nothing else. */
import type { InputOptions, OutputOptions } from 'rolldown'

export default {
  platform: 'node',
  // Beside each other, as the source finds its worker.
  input: { shoal: 'cli/main.ts', 'hash-worker': 'agent/store/hash-worker.ts' },
  output: {
    dir: 'dist',
    cleanDir: true,
    // .mjs: nothing beside them needs to say that they are modules.
    entryFileNames: '[name].mjs',
    chunkFileNames: '[name].mjs',
    // Node.js keeps the source in memory. Names stay: stacks tell where something went wrong by them.
    minify: { mangle: false, compress: true, codegen: { removeWhitespace: true } },
  },
} satisfies InputOptions & { output: OutputOptions }
