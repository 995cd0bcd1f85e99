import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

/** vitest itself takes one fewer, and so on two cores one file after the other. */
const cores = availableParallelism()

export default defineConfig({
  test: {
    // No time limit decides whether a test passes: these end a run that would never end, on whatever machine.
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/{core,agent,tracker,cli,image,contracts,repository}/**/*.test.ts'],
          testTimeout: 60_000,
          // Loading the modules anew for each file takes longer than the tests. No part keeps anything of a process's.
          isolate: false,
          maxWorkers: cores,
        },
      },
      {
        test: {
          name: 'sim',
          include: ['test/sim/**/*.test.ts'],
          testTimeout: 600_000,
          maxWorkers: cores,
          // Node.js itself loads the modules: in what Vite makes of them each use of an import is a call, in the worlds' hottest loops too.
          experimental: { viteModuleRunner: false },
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/{charts,integration}/**/*.test.ts'],
          globalSetup: 'test/support/command.ts',
          testTimeout: 60_000,
          hookTimeout: 60_000,
          // Half of the time a file waits for the processes that it runs.
          maxWorkers: cores,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          globalSetup: 'test/support/command.ts',
          testTimeout: 180_000,
          hookTimeout: 180_000,
          // A file runs up to a dozen processes at once; two on two cores would wait for each other.
          maxWorkers: Math.max(1, Math.floor(cores / 2)),
        },
      },
    ],
  },
})
