# SPDX-License-Identifier: ISC
# Run by cpack: what Debian wants in another form than "cmake --install" puts.
set(doc ${CPACK_TEMPORARY_DIRECTORY}/usr/share/doc/acmed)
string(TIMESTAMP now "%a, %d %b %Y %H:%M:%S +0000" UTC)
file(WRITE ${doc}/changelog
"acmed (${CPACK_PACKAGE_VERSION}) unstable; urgency=medium

  * CHANGES.md says what has changed.

 -- ${CPACK_PACKAGE_CONTACT}  ${now}
")
file(CHMOD ${doc}/changelog
  PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
file(GLOB pages ${CPACK_TEMPORARY_DIRECTORY}/usr/share/man/man*/*)
execute_process(COMMAND gzip -9n ${doc}/changelog ${pages}
  COMMAND_ERROR_IS_FATAL ANY)
