# SPDX-License-Identifier: ISC
# A Debian package of what "cmake --install" puts:
#   cmake -B build -G Ninja -DCMAKE_INSTALL_PREFIX=/usr && cmake --build build
#   cpack --config build/CPackConfig.cmake
# Only for /usr: root's program knows at build time where the others are.
if(NOT CMAKE_INSTALL_PREFIX STREQUAL "/usr")
  return()
endif()
set(debian ${PROJECT_SOURCE_DIR}/cmake/debian)
# Whoever makes the package answers for it, and is known to Debian's tools so.
set(CPACK_PACKAGE_CONTACT "$ENV{DEBFULLNAME} <$ENV{DEBEMAIL}>")
if(CPACK_PACKAGE_CONTACT STREQUAL " <>")
  set(CPACK_PACKAGE_CONTACT "root <root@localhost>")
endif()
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_DIRECTORY ${PROJECT_BINARY_DIR})
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "ACME certificate daemon")
set(CPACK_PACKAGE_DESCRIPTION
"It is told once which names a host serves, and from then on keeps valid TLS
certificates for them: it obtains them from an ACME certificate authority
(Let's Encrypt and others), renews them in time, installs them, and runs the
command that makes the service read them.
.
Of its three processes the one on the network holds no private key, the one
with the keys has no network, and root's reads nothing that came from there.")
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE
  OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_PRE_BUILD_SCRIPTS ${debian}/stage.cmake)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "ca-certificates,\
 systemd | systemd-standalone-sysusers | systemd-sysusers")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${debian}/postinst ${debian}/prerm
  ${debian}/postrm)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
