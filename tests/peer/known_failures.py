"""The tests of `astropy.io.fits` that a file over HTTP fails, by why it does; found by running them."""

from __future__ import annotations

#: The test compares the file's name, or writes beside the file; over HTTP its name is a URL.
THE_NAME_IS_TESTED = (
    "hdu.compressed.tests.test_compressed.TestCompressedImage::test_fileinfo",
    "tests.test_convenience.TestConvenience::test_tabledump",
    "tests.test_fitsdiff.TestFITSDiff_script::test_not_quiet",
    "tests.test_fitsdiff.TestFITSDiff_script::test_rtol_diff",
    "tests.test_hdulist.TestHDUListFunctions::test_filename[]",
    "tests.test_hdulist.TestHDUListFunctions::test_filename[home_is_data, pathlib]",
    "tests.test_hdulist.TestHDUListFunctions::test_filename[home_is_data]",
    "tests.test_hdulist.TestHDUListFunctions::test_hdulist_file_info",
    "tests.test_tilde_path.TestTildePaths::test_BinTableHDU_dump_load[]",
    "tests.test_tilde_path.TestTildePaths::test_BinTableHDU_dump_load[home_is_data, pathlib]",
    "tests.test_tilde_path.TestTildePaths::test_BinTableHDU_dump_load[home_is_data]",
)

#: The test looks for, or breaks, the memory map of a local file.
A_MEMORY_MAP_IS_TESTED = (
    "tests.test_core.TestFileFunctions::test_mmap_allocate_error",
    "tests.test_core.TestFileFunctions::test_mmap_closing",
    "tests.test_core.TestFileFunctions::test_mmap_unsupported_fallback",
)

#: astropy decompresses a whole file (gzip, bzip2, xz, compress, zip) if it has its path, not if it is given
#: an open one: nobody told it to look.
THE_WHOLE_FILE_IS_COMPRESSED = (
    "tests.test_core.TestFileFunctions::test_detect_bzipped",
    "tests.test_core.TestFileFunctions::test_detect_gzipped",
    "tests.test_core.TestFileFunctions::test_detect_lzma",
    "tests.test_core.TestFileFunctions::test_detect_lzw",
    "tests.test_core.TestFileFunctions::test_detect_zipped",
    "tests.test_core.TestFileFunctions::test_fits_update_mode_gzip",
    "tests.test_core.TestFileFunctions::test_open_bzipped",
    "tests.test_core.TestFileFunctions::test_open_gzip_file_for_writing",
    "tests.test_core.TestFileFunctions::test_open_gzipped",
    "tests.test_core.TestFileFunctions::test_open_lzma",
    "tests.test_core.TestFileFunctions::test_open_lzw",
    "tests.test_core.TestFileFunctions::test_open_zipped",
    "tests.test_core.TestFileFunctions::test_write_read_gzip_file[]",
    "tests.test_core.TestFileFunctions::test_write_read_gzip_file[home_is_data, pathlib]",
    "tests.test_core.TestFileFunctions::test_write_read_gzip_file[home_is_data]",
    "tests.test_core.TestFileFunctions::test_writeto_append_mode_gzip",
    "tests.test_core.TestFileFunctions::test_writeto_bzip2_filename",
    "tests.test_core.TestFileFunctions::test_writeto_bzip2_fileobj",
    "tests.test_core.TestFileFunctions::test_writeto_lzma_filename",
    "tests.test_core.TestFileFunctions::test_writeto_lzma_fileobj",
    "tests.test_fitsdiff.TestFITSDiff_script::test_path",
    "tests.test_fitsheader.TestFITSheader_script::test_missing_optional_dependency",
    "tests.test_fitsinfo.TestFitsinfo::test_missing_optional_dependency",
    "tests.test_table::test_empty_table",
)

#: The test wants one of astropy's words, or kinds of warning, where ours say the same of a damaged file.
OUR_OWN_WORDS = (
    "hdu.compressed.tests.test_tiled_compression::test_invalid_tile",
    "tests.test_hdulist.TestHDUListFunctions::test_open_file_with_bad_file_padding",
    "tests.test_hdulist.TestHDUListFunctions::test_proper_error_raised_on_invalid_fits_file",
    "tests.test_hdulist.TestHDUListFunctions::test_proper_error_raised_on_non_fits_file",
    "tests.test_hdulist.TestHDUListFunctions::test_proper_error_raised_on_non_fits_file_with_unicode",
    "tests.test_hdulist.TestHDUListFunctions::test_warning_raised_extra_bytes_after_last_hdu",
)

#: The test tells astropy that uncompresspy is not there; it is, and we find it.
A_PACKAGE_IS_HIDDEN = (
    "tests.test_fitsdiff.TestFITSDiff_script::test_warning_unreadable_file",
    "tests.test_fitsheader.TestFITSheader_script::test_missing_optional_dependency",
    "tests.test_fitsinfo.TestFitsinfo::test_missing_optional_dependency",
)

#: By the way of `over_http` that the objects are read.
KNOWN_FAILURES = {
    "file": {*THE_NAME_IS_TESTED, *A_MEMORY_MAP_IS_TESTED, *THE_WHOLE_FILE_IS_COMPRESSED},
    "open": {*THE_NAME_IS_TESTED, *A_MEMORY_MAP_IS_TESTED, *OUR_OWN_WORDS, *A_PACKAGE_IS_HIDDEN},
}
