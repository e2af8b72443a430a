"""The product index: the photos of all products as vectors, in an embedded database that follows the catalogue.

    index.json           header: run, dataset, columns of the tables, operating points, how vectors are searched
    mean.npy             float32 [D], and projection.npy, float32 [D, d]: make vectors of the features of the run;
                         missing for a run without neighbours, whose features are the vectors
    products.lance/      a table of LanceDB with a row for every photo, see `table.py`
    rejected.csv         the rows of the last update that could not be used

One writer at a time changes the table, and every change is one commit: readers see all of it or nothing, also if the
writer is killed. A reader keeps the version that it opened until it asks for a newer one.

    products.py          what a search returns
    header.py            index.json, and the two arrays
    table.py             the table; it alone uses lancedb
    memory.py            exact search of all photos in memory
    product_index.py     reading: search, products, thumbnails
    writer.py            one commit for each change, and the removal of old versions
    lists.py             lists for approximate search, and their recall
    photos.py            the hash, the view and the thumbnail of a photo
    tags.py              the tags of a product
    words.py             the words by which it is found
    check.py             is every row of an index usable?
"""
