/** The options of `shoal configure` and `shoal cleanup`, described once as those of the agent are; several are the agent's own. */
import { z } from 'zod'
import { configSchema, hostName, note } from '../../agent/config.ts'

export const configureSchema = z.strictObject({
  containerdRegistryConfigPath: configSchema.shape.containerdRegistryConfigPath,
  mirroredRegistries: note(z.array(hostName).default([]), {
    group: 'containerd',
    description:
      'Registries whose images are pulled through the mirror, as image names have them. Those that an earlier run named, and this one does not, go past it again.',
    text: 'list',
    value: 'host',
    otherwise: 'all',
    examples: [['docker.io', 'registry.corp.example.com:5000']],
  }),
  resolveTags: note(z.boolean().default(true), {
    group: 'containerd',
    description:
      'Ask the mirror for tags too; else containerd resolves them at the registry, with its own credentials.',
    text: 'switch',
    examples: [false],
  }),
  dataDirOwner: note(
    z
      .int()
      .min(0)
      .max(2 ** 31 - 1)
      .optional(),
    {
      group: 'Store',
      description:
        'The user, and the group of the same number, that the data directory and what is in it are given to: those of an agent that does not run as root.',
      text: 'number',
      value: 'uid',
      otherwise: 'it stays whose it is',
      examples: [65_532],
    },
  ),
  dataDir: configSchema.shape.dataDir,
  mirrorListen: configSchema.shape.mirrorListen,
  mirrorProtocol: configSchema.shape.mirrorProtocol,
})

export const cleanupSchema = configureSchema.pick({ containerdRegistryConfigPath: true, dataDir: true }).extend({
  emptyDataDir: note(z.boolean().default(false), {
    group: 'Store',
    description: 'Remove what the agent has kept in the data directory too, once it has stopped.',
    text: 'switch',
    examples: [true],
  }),
})

export type ConfigureOptions = Readonly<z.output<typeof configureSchema>>
export type CleanupOptions = Readonly<z.output<typeof cleanupSchema>>
