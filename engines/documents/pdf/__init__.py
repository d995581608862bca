"""PDFs in: pages to pixels, by PDFium. PDFs out: a hidden layer of text in the original, by qpdf."""
