# SPDX-License-Identifier: ISC
# What "cmake --install" puts besides the programs: units, users, manuals.
# systemd looks below /usr/lib, /usr/local/lib and /etc; another prefix needs
# links from there.
set(sbindir ${CMAKE_INSTALL_FULL_SBINDIR})
set(bindir ${CMAKE_INSTALL_FULL_BINDIR})
configure_file(systemd/acmed.service.in systemd/acmed.service @ONLY)

install(FILES ${PROJECT_BINARY_DIR}/systemd/acmed.service
  systemd/acmed.socket DESTINATION lib/systemd/system)
install(FILES systemd/acmed.sysusers DESTINATION lib/sysusers.d
  RENAME acmed.conf)

install(FILES daemon/ctl/acmectl.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES lib/config/acmed.yaml.5
  DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)
install(FILES daemon/supervisor/acmed-hooks.7
  DESTINATION ${CMAKE_INSTALL_MANDIR}/man7)
install(FILES daemon/supervisor/acmed.8
  DESTINATION ${CMAKE_INSTALL_MANDIR}/man8)

install(FILES conf/acmed.yaml conf/acmed.rules.yml
  DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
install(FILES CHANGES.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
# The licence wants to be in every copy; so Debian calls it.
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright)
