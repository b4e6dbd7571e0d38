"""One picture at a time: from its file to pixels, or to what a person sees.

decoding      pictures to pixels
square        a picture in a square, as networks take it
values        pictures of more than 8 bits, in one range for a source
digests       by which pictures and images are known, whatever their names are
same_picture  whether two files show the same, though their bytes differ
metadata      without what cameras wrote: files taken apart, their pixels copied
blanked       the same in formats that hold addresses: TIFF, HEIC, AVIF, JPEG 2000
pictures      the pictures of a source as it holds them, by digest
thumbnails    pictures for people: small files, whole
"""
