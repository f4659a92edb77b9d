import { numberArray, textArray } from './literal.ts'
import type { Value } from './pool.ts'

/** Collects the values of a statement while its text is written: `add` returns the placeholder. */
export class Values {
  readonly all: Value[] = []

  text(value: string): string {
    return `$${this.all.push(value)}::text`
  }

  number(value: number): string {
    return `$${this.all.push(String(value))}::bigint`
  }

  texts(values: readonly string[]): string {
    return `$${this.all.push(textArray(values))}::text[]`
  }

  numbers(values: readonly number[]): string {
    return `$${this.all.push(numberArray(values))}::bigint[]`
  }
}
