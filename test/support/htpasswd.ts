/** docker-registry's other way to ask for secrets: Basic, against a file of bcrypt hashes. */
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { hash } from 'bcryptjs'

/** The `auth` section of docker-registry's configuration for these users and passwords. */
export async function htpasswdAuth(directory: string, users: Readonly<Record<string, string>>): Promise<object> {
  const file = path.join(directory, 'htpasswd')
  const lines = Object.entries(users).map(async ([name, password]) => `${name}:${await hash(password, bcryptCost)}`)
  await writeFile(file, (await Promise.all(lines)).join('\n'))
  return { htpasswd: { realm: 'registry.test', path: file } }
}

/** The least that bcrypt knows: these are passwords of tests. */
const bcryptCost = 4
