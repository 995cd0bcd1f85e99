/** What derives from the chart's values: the schema that Helm checks them by, and their table in the chart's README. */
import type { z } from 'zod'
import { jsonSchemaOf } from '../agent-options.ts'
import { chartValues } from './chart-values.ts'
import { type DescribedValue, describedValues } from './values-comments.ts'

/** JSON Schema draft-07, which Helm 3 and 4 both read; each value is described as values.yaml does. */
export function valuesSchema(valuesText: string): string {
  const schema = jsonSchemaOf(chartValues, 'draft-7')
  for (const { path, description } of describedValues(valuesText)) describe(schema, path.split('.'), description)
  return `${JSON.stringify(schema, null, 2)}\n`
}

function describe(schema: z.core.JSONSchema.BaseSchema, [key = '', ...rest]: readonly string[], text: string): void {
  const below = schema.properties?.[key]
  if (typeof below !== 'object') throw new TypeError(`values.yaml has ${key}, which cli/chart/chart-values.ts lacks`)
  if (rest.length > 0) describe(below, rest, text)
  else below.description = text
}

const begin = '<!-- Values: generated from values.yaml by `npm run generate` -->\n'
const end = '<!-- End of values -->'

/** The README with the table of values as they are now. */
export function chartReadme(
  readme: string,
  valuesText: string,
  table: (values: readonly DescribedValue[]) => string,
): string {
  const [before, rest] = split(readme, begin)
  const [, after] = split(rest, end)
  return `${before}${begin}\n${table(describedValues(valuesText))}\n\n${end}${after}`
}

function split(text: string, marker: string): [string, string] {
  const at = text.indexOf(marker)
  if (at < 0) throw new TypeError(`charts/shoal/README.md lacks ${marker}`)
  return [text.slice(0, at), text.slice(at + marker.length)]
}
