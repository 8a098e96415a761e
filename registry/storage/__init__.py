"""Where the bytes lie: a folder or a bucket, behind one small protocol."""
