// Text of PDFs' first pages as pdf.js gives it to its viewer's text layer: node pdf_js.mjs PACKAGE
// A file's path a line in, a JSON object a line out.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

console.log = () => {}; // There pdf.js misses a canvas, which text does without.
const pdfjs = await import(pathToFileURL(join(process.argv[2], "legacy/build/pdf.mjs")));
for await (const file of createInterface({ input: process.stdin })) {
  const data = new Uint8Array(await readFile(file));
  const pdf = await pdfjs.getDocument({ data, verbosity: 0 }).promise;
  const content = await (await pdf.getPage(1)).getTextContent();
  const text = content.items.map((item) => item.str + (item.hasEOL ? "\n" : "")).join("");
  process.stdout.write(JSON.stringify({ text }) + "\n");
  await pdf.destroy();
}
