import { existsSync, readFileSync, writeFileSync } from 'node:fs';

/** Where a page has figures: between the lines `<!-- name -->` and `<!-- /name -->`. */
export class MarkedPlace {
  readonly #file: string;
  readonly #begin: string;
  readonly #end: string;

  /** @throws Error where the page has no such lines: better now than after minutes of measuring. A page that is not there is made. */
  constructor(file: string, name: string) {
    this.#file = file;
    this.#begin = `<!-- ${name} -->`;
    this.#end = `<!-- /${name} -->`;
    this.#around();
  }

  /** Reads the page again, which may have been edited meanwhile. */
  write(text: string): void {
    const [before, after] = this.#around();
    writeFileSync(this.#file, `${before}${this.#begin}\n\n${text.trimEnd()}\n\n${after}`);
  }

  #around(): [before: string, after: string] {
    const text = existsSync(this.#file) ? readFileSync(this.#file, 'utf8') : `${this.#begin}\n${this.#end}\n`;
    const begin = text.indexOf(this.#begin);
    const end = text.indexOf(this.#end, begin);
    if (begin >= 0 && end >= 0) return [text.slice(0, begin), text.slice(end)];
    throw new Error(`${this.#file} must have the lines "${this.#begin}" and "${this.#end}"`);
  }
}
