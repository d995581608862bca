// Text of a PDF's first page as pdf.js gives it to its viewer's text layer: node pdf_js.mjs PACKAGE FILE
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, file] = process.argv.slice(2);
const pdfjs = await import(pathToFileURL(join(folder, "legacy/build/pdf.mjs")));
const data = new Uint8Array(await readFile(file));
const pdf = await pdfjs.getDocument({ data, verbosity: 0 }).promise;
const page = await pdf.getPage(1);
const content = await page.getTextContent();
const text = content.items.map((item) => item.str + (item.hasEOL ? "\n" : "")).join("");
console.log(JSON.stringify({ text }));
