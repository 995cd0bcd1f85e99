/** What generated pages are made of. */

export const notice = (source: string): string =>
  `<!-- Generated from ${source} by \`npm run generate\`; do not edit. -->\n`

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows].map(tableRow).join('\n')
}

function tableRow(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
}

export const code = (text: string): string => `\`${text}\``
